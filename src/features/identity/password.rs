//! Passwords: which are taken, and how they are hashed and compared.
//! Does not know: accounts, the database.
//! Invariant: a password leaves [`Secret`] only here, and only to be hashed or judged.

use std::sync::Arc;

use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use tokio::sync::Semaphore;

use crate::kernel::base::{Code, Fault, Refusal, Secret, Stop, World};

/// Fewest characters (Unicode scalar values) of a password.
const CHARS_MIN: usize = 12;
/// Most characters of a password.
const CHARS_MAX: usize = 128;
/// Words of a name shorter than this are not looked for in a password: they stand in too many others.
const WORD_CHARS_MIN: usize = 4;
/// Roots of common passwords, one a line, sorted, lower case letters only.
const COMMON: &str = include_str!("common.txt");

/// Memory of a hash in KiB, passes, lanes: argon2id (RFC 9106), the first choice of the OWASP Password Storage Cheat Sheet.
const MEMORY_KIB: u32 = 47_104;
const PASSES: u32 = 1;
const LANES: u32 = 1;
const OUTPUT_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// Hashes at once: each takes a core and 46 MiB.
const HASHES_MAX: usize = 2;
/// Hashes that wait; the next one is told `busy`.
const WAITING_MAX: usize = 32;

/// Compared with when there is no such account or it has no password: the same cost, and no password fits it.
const NOBODY: &str =
    "$argon2id$v=19$m=47104,t=1,p=1$Y2FyZXRocmVhZG5vYm9keQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Whether a password may be chosen. `about` are the handle, name and organization of the account.
///
/// # Errors
/// `invalid` naming `field`, with a sentence that does not repeat the password.
pub fn judge(field: &'static str, password: &str, about: &[&str]) -> Result<(), Refusal> {
    let chars = password.chars().count();
    if !(CHARS_MIN..=CHARS_MAX).contains(&chars) {
        return Err(Refusal::invalid(field, "A password has 12 to 128 characters, any characters."));
    }
    let lower = password.to_lowercase();
    if is_common(&lower) {
        return Err(Refusal::invalid(field, "This password is among the first that are guessed. Choose another one."));
    }
    let words = about.iter().flat_map(|text| words(text)).filter(|word| word.chars().count() >= WORD_CHARS_MIN);
    if words.into_iter().any(|word| lower.contains(&word)) {
        return Err(Refusal::invalid(
            field,
            "A password must not contain the handle, the name or the organization. Choose another one.",
        ));
    }
    Ok(())
}

/// The text itself and its words, in lower case.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let parts = lower.split(|c: char| !c.is_alphanumeric()).map(str::to_owned);
    let mut words: Vec<String> = parts.collect();
    words.push(lower.trim().to_owned());
    words
}

/// Few signs, one unit over and over, a run along the alphabet or the digits, or a listed word with digits and signs around it.
/// `password` is in lower case.
fn is_common(password: &str) -> bool {
    let signs: Vec<char> = password.chars().collect();
    let mut distinct = signs.clone();
    distinct.sort_unstable();
    distinct.dedup();
    distinct.len() < 5 || repeats(&signs) || runs(&signs) || is_listed(password)
}

/// One unit of up to a third of the whole, over and over, the last time perhaps cut.
fn repeats(signs: &[char]) -> bool {
    (1..=signs.len() / 3).any(|unit| signs.iter().zip(signs.iter().skip(unit)).all(|(one, next)| one == next))
}

/// Nine of ten steps go one up, or one down (0 follows 9).
fn runs(signs: &[char]) -> bool {
    let step = |one: char, next: char| match (one, next) {
        ('9', '0') => 1,
        ('0', '9') => -1,
        _ => i64::from(u32::from(next)) - i64::from(u32::from(one)),
    };
    let steps = || signs.iter().zip(signs.iter().skip(1)).map(|(one, next)| step(*one, *next));
    [1, -1].into_iter().any(|way| steps().filter(|step| *step == way).count() * 10 >= (signs.len() - 1) * 9)
}

/// The letters, with the usual stand-ins undone or left out, are a listed word once or several times.
fn is_listed(password: &str) -> bool {
    let undone = |c: char| match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    };
    let within = password.trim_matches(|c: char| !c.is_alphabetic() && !"@$".contains(c));
    let letters = |text: &str| -> String { text.chars().filter(|c| c.is_alphabetic()).collect() };
    let candidates = [letters(password), letters(&within.chars().map(undone).collect::<String>()), letters(within)];
    let listed = |word: &str| COMMON.lines().any(|line| line == word);
    candidates.iter().any(|text| {
        let lengths =
            (3..=text.len()).filter(|length| text.len().is_multiple_of(*length) && text.is_char_boundary(*length));
        lengths.into_iter().any(|length| {
            let word = &text[..length];
            text.as_bytes().chunks(length).all(|chunk| chunk == word.as_bytes()) && listed(word)
        })
    })
}

/// Hashes passwords away from the committer, few at once.
#[derive(Clone)]
pub struct Hashing {
    /// Places for hashes under way and waiting.
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
    world: World,
}

/// A place among the hashes under way and waiting; given back when dropped.
pub struct Place(#[expect(dead_code, reason = "held for its drop")] tokio::sync::OwnedSemaphorePermit);

impl Hashing {
    pub fn new(world: World) -> Self {
        Self {
            places: Arc::new(Semaphore::new(HASHES_MAX + WAITING_MAX)),
            running: Arc::new(Semaphore::new(HASHES_MAX)),
            world,
        }
    }

    /// Takes a place, to be had before anything is waited for.
    ///
    /// # Errors
    /// `busy` when too many wait.
    pub fn place(&self) -> Result<Place, Refusal> {
        let full =
            |_| Refusal::new(Code::Busy).detail("Too many people sign in at once. Try again.").retry_after_ms(2000);
        self.places.clone().try_acquire_owned().map(Place).map_err(full)
    }

    /// Whether `password` fits `stored`, a PHC string; with none, the cost is the same and the answer no.
    ///
    /// # Errors
    /// A stored hash that cannot be read.
    pub async fn verify(&self, _place: &Place, password: &Secret<String>, stored: Option<&str>) -> Result<bool, Stop> {
        let (known, stored) = (stored.is_some(), stored.unwrap_or(NOBODY).to_owned());
        let password = password.clone();
        let fits = self
            .blocking(move || {
                let hash = PasswordHash::new(&stored)
                    .map_err(|_| Fault::Integrity("a stored password hash cannot be read"))?;
                Ok(argon2()?.verify_password(password.expose().as_bytes(), &hash).is_ok())
            })
            .await?;
        Ok(known && fits)
    }

    /// A PHC string of `password` with a fresh salt.
    ///
    /// # Errors
    /// When memory or the process's threads are gone.
    pub async fn hash(&self, _place: &Place, password: &Secret<String>) -> Result<String, Stop> {
        let salt = self.world.bytes::<SALT_BYTES>();
        let password = password.clone();
        self.blocking(move || {
            let hash = argon2()?.hash_password_with_salt(password.expose().as_bytes(), &salt);
            Ok(hash.map_err(|_| Fault::Defect("argon2 refused its input"))?.to_string())
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Stop> {
        let closed = |_| Fault::Defect("the hash limiter is closed");
        let running = self.running.clone().acquire_owned().await.map_err(closed)?;
        // The permit goes with the work: a caller that gives up does not free the core.
        let done = tokio::task::spawn_blocking(move || {
            let _running = running;
            work()
        });
        Ok(done.await.map_err(|_| Fault::Defect("a password hash was not finished"))??)
    }
}

fn argon2() -> Result<Argon2<'static>, Fault> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(OUTPUT_BYTES));
    let params = params.map_err(|_| Fault::Defect("argon2 refuses its parameters"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Whether a stored hash is weaker than those made now, so that it is made anew at the next sign-in.
#[must_use]
pub fn is_weak(stored: &str) -> bool {
    let Ok(hash) = PasswordHash::new(stored) else { return true };
    let Ok(params) = Params::try_from(&hash) else { return true };
    hash.algorithm != Algorithm::Argon2id.ident() || params.m_cost() < MEMORY_KIB || params.t_cost() < PASSES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(password: &str) -> bool {
        judge("password", password, &["mlindqvist", "Maja Lindqvist", "Riverside Clinic"]).is_ok()
    }

    #[test]
    fn ordinary_long_passwords_are_taken() {
        for password in [
            "correct horse battery staple",
            "kelp-otter-94-lantern",
            "Zd8$kq02Lm!x",
            "жёлтая луна над рекой",
            "night shift on ward nine",
            "password of the third kettle",
        ] {
            assert!(taken(password), "{password}");
        }
    }

    #[test]
    fn short_long_common_and_personal_ones_are_not() {
        for password in [
            "elevenchars",
            &"ab3-".repeat(33),
            "passwordpassword",
            "Password123!",
            "P@ssw0rd1234",
            "Welcome2026!!",
            "qwertyuiop12",
            "123456789012",
            "abcdefghijklm",
            "zzzzzzzzzzzzzz",
            "abcabcabcabc",
            "Summer2026!!!!",
            "iloveyou-iloveyou",
            "9876543210987",
            "my-MAJA-secret-1",
            "xx lindqvist xx",
            "the riverside 77",
            "mlindqvist-2026",
        ] {
            assert!(!taken(password), "{password}");
        }
    }

    #[test]
    fn the_list_is_sorted_lower_case_and_letters_only() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!(lines.is_sorted() && lines.len() > 100);
        assert!(lines.iter().all(|line| line.len() >= 3 && line.bytes().all(|byte| byte.is_ascii_lowercase())));
    }

    proptest! {
        #[test]
        fn judging_never_panics_and_keeps_the_length(password in "\\PC{0,140}") {
            let chars = password.chars().count();
            prop_assert!(judge("password", &password, &[]).is_err() || (12..=128).contains(&chars));
        }

        #[test]
        fn what_holds_the_name_is_refused(before in "[a-z0-9 ]{0,20}", after in "[A-Z!?]{8,20}") {
            let password = format!("{before}LindQvist{after}");
            prop_assert!(!taken(&password));
        }

        #[test]
        fn decorating_a_common_word_does_not_help(word in 0_usize..190, digits in "[0-9!?.]{9,12}") {
            let word = COMMON.lines().nth(word).unwrap();
            let (behind, before) = (format!("{word}{digits}"), format!("{digits}{word}"));
            prop_assert!(!taken(&behind) && !taken(&before), "{}", behind);
        }

        #[test]
        fn random_signs_are_taken(password in "[b-km-z2-9]{16,40}") {
            // Sixteen random signs are common or personal only by a chance that is not met.
            prop_assert!(taken(&password));
        }
    }

    #[tokio::test]
    async fn a_hash_fits_its_password_alone() {
        let hashing = Hashing::new(World::system());
        let place = hashing.place().unwrap();
        let secret = |text: &str| Secret::new(text.to_owned());
        let stored = hashing.hash(&place, &secret("kelp-otter-94")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=47104,t=1,p=1$") && !is_weak(&stored));
        assert!(hashing.verify(&place, &secret("kelp-otter-94"), Some(&stored)).await.unwrap());
        assert!(!hashing.verify(&place, &secret("kelp-otter-95"), Some(&stored)).await.unwrap());
        assert!(!hashing.verify(&place, &secret("kelp-otter-94"), None).await.unwrap());
        assert!(hashing.verify(&place, &secret("x"), Some("nonsense")).await.is_err());
        assert!(is_weak("$argon2id$v=19$m=19456,t=2,p=1$Y2FyZXRocmVhZA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
        assert!(!is_weak(NOBODY));
    }

    #[test]
    fn places_are_few() {
        let hashing = Hashing::new(World::system());
        let places: Vec<Place> = (0..34).map(|_| hashing.place().unwrap()).collect();
        assert_eq!(hashing.place().err().unwrap().code, Code::Busy);
        drop(places);
        assert!(hashing.place().is_ok());
    }
}
