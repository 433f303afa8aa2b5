//! TLS: the certificate of this server and the terms it is offered under.
//!
//! Without configured files the certificate is made once, self-signed, and kept in the data folder, so that there is never a
//! plain port and clients can pin its fingerprint. Does not know: listeners, HTTP, the record. `main` installs the default
//! provider (`rustls::crypto::ring::default_provider().install_default()`); nothing here relies on it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::kernel::base::{Fault, Micros, World};

/// A made certificate is valid this long: it is pinned, and a new one would break every pin.
const VALID_DAYS: i64 = 3650;

/// One day in [`Micros`].
const DAY: Micros = 86_400_000_000;

/// Where certificate and key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// PEM, the server's certificate first.
    pub certificate: PathBuf,
    /// PEM, PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

impl Files {
    /// The server's own pair in the data folder: `tls/cert.pem`, `tls/key.pem`.
    #[must_use]
    pub fn of_folder(folder: &Path) -> Self {
        Self { certificate: folder.join("tls/cert.pem"), key: folder.join("tls/key.pem") }
    }

    /// Reads the pair again: what a reload after a renewal calls.
    ///
    /// # Errors
    /// [`Fault::Io`], naming the file, when one is missing or is not PEM of its kind.
    pub fn load(&self) -> Result<Identity, Fault> {
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unreadable(&self.certificate, &error))?;
        if chain.is_empty() {
            return Err(unreadable(&self.certificate, &"holds no certificate"));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| unreadable(&self.key, &error))?;
        Ok(Identity { chain, key })
    }
}

/// A certificate chain with its private key. Not printable: it holds the key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// The server's own certificate, DER: what a client pins.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.chain.first().expect("an identity is never made of an empty chain")
    }

    /// SHA-256 of the server certificate's DER, 64 lower-case hexadecimal digits, as printed by `init`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(self.certificate())
    }

    /// The terms offered: TLS 1.3 and 1.2, AEAD suites only, ALPN `h2` and `http/1.1`, stateless session tickets.
    ///
    /// # Errors
    /// [`Fault::Io`] when key and certificate do not belong together or the key is of an unknown kind.
    pub fn config(&self) -> Result<Arc<ServerConfig>, Fault> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(refused)?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(refused)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = ring::Ticketer::new().map_err(refused)?;
        Ok(Arc::new(config))
    }
}

/// The one provider used for both sides of every connection of ours. All its suites are AEAD (a test holds it to that).
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// SHA-256 of a certificate's DER in lower-case hexadecimal.
#[must_use]
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let hash = suite.tls13().expect("a TLS 1.3 suite").common.hash_provider;
    hash.hash(certificate).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Opens the pair of the data folder, making it on first start. The second value says whether it was made now.
///
/// # Errors
/// [`Fault::Io`] when the folder cannot be written, a file does not parse, or the key can be read by others than its owner.
pub fn load_or_make(folder: &Path, world: &World) -> Result<(Identity, bool), Fault> {
    let files = Files::of_folder(folder);
    // Half a pair is not repaired: a lost key with a pinned certificate is for a person to decide.
    let made = !files.certificate.exists() && !files.key.exists();
    if made {
        make(&files, world)?;
    }
    let mode = fs::metadata(&files.key).map_err(|error| unreadable(&files.key, &error))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(unreadable(&files.key, &format!("has mode {:04o}; it must be 0600", mode & 0o7777)));
    }
    Ok((files.load()?, made))
}

/// Makes a key and a certificate for every name this machine is reached by on first use, and writes both.
fn make(files: &Files, world: &World) -> Result<(), Fault> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(hostname());
    let mut params = CertificateParams::new(names).map_err(unmade)?;
    params.distinguished_name.push(DnType::CommonName, "carethread");
    // Not an authority, said outright: clients that trust this certificate trust one server, and strict ones ask for the
    // key identifiers that come with it.
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = world.now();
    // From yesterday: a client whose clock runs behind must not meet a certificate of the future.
    let (first, last) = (date(now - DAY)?, date(now + VALID_DAYS * DAY)?);
    params.not_before = rcgen::date_time_ymd(first.0, first.1, first.2);
    params.not_after = rcgen::date_time_ymd(last.0, last.1, last.2);
    let key = KeyPair::generate().map_err(unmade)?;
    let certificate = params.self_signed(&key).map_err(unmade)?;
    let folder = files.key.parent().ok_or(Fault::Defect("the key file lies in a folder"))?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    write(&files.key, key.serialize_pem().as_bytes(), 0o600)?;
    write(&files.certificate, certificate.pem().as_bytes(), 0o644)?;
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// Writes a new file that was never readable by more than `mode` allows.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Fault> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(())
}

/// Year, month and day of `at` in UTC, as the certificate writer wants them.
fn date(at: Micros) -> Result<(i32, u8, u8), Fault> {
    let at = jiff::Timestamp::from_microsecond(at).map_err(|_| Fault::Defect("the clock shows a date"))?;
    let day = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let small = |number: i8| u8::try_from(number).map_err(|_| Fault::Defect("days and months are counted from one"));
    Ok((day.year().into(), small(day.month())?, small(day.day())?))
}

/// The kernel's host name, where it can stand in a certificate.
fn hostname() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?.trim().to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (name != "localhost" && name.len() <= 253 && name.split('.').all(label)).then_some(name)
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Fault {
    Fault::Io(io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display())))
}

fn refused(error: rustls::Error) -> Fault {
    Fault::Io(io::Error::new(io::ErrorKind::InvalidData, format!("certificate and key: {error}")))
}

fn unmade(error: rcgen::Error) -> Fault {
    Fault::Io(io::Error::other(format!("making the certificate: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (tempfile::TempDir, Identity) {
        let folder = tempfile::tempdir().unwrap();
        let (identity, made) = load_or_make(folder.path(), &World::system()).unwrap();
        assert!(made);
        (folder, identity)
    }

    #[test]
    fn the_first_start_makes_a_pair_and_the_second_finds_it() {
        let (folder, first) = made();
        let (second, made) = load_or_make(folder.path(), &World::system()).unwrap();
        assert!(!made);
        assert_eq!(first.fingerprint(), second.fingerprint());
        assert_eq!(first.fingerprint().len(), 64);
        assert!(first.config().is_ok() && second.config().is_ok());
    }

    #[test]
    fn nobody_but_the_owner_reads_the_key() {
        let (folder, _) = made();
        let files = Files::of_folder(folder.path());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&files.key), 0o600);
        assert_eq!(mode(files.key.parent().unwrap()), 0o700);
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = load_or_make(folder.path(), &World::system()).err().unwrap().to_string();
        assert!(refused.contains("key.pem") && refused.contains("0640"), "{refused}");
    }

    #[test]
    fn half_a_pair_is_refused_and_not_replaced() {
        let (folder, _) = made();
        let files = Files::of_folder(folder.path());
        fs::remove_file(&files.key).unwrap();
        assert!(load_or_make(folder.path(), &World::system()).is_err());
        assert!(!files.key.exists());
    }

    #[test]
    fn a_wrong_file_is_named_and_its_content_is_not() {
        let (folder, _) = made();
        let files = Files::of_folder(folder.path());
        fs::write(&files.certificate, "secret words").unwrap();
        let refused = files.load().err().unwrap().to_string();
        assert!(refused.contains("cert.pem") && !refused.contains("secret words"), "{refused}");
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let ((one, _), (other, _)) = (made(), made());
        let files =
            Files { certificate: Files::of_folder(one.path()).certificate, key: Files::of_folder(other.path()).key };
        assert!(files.load().unwrap().config().is_err());
    }

    #[test]
    fn only_authenticated_encryption_is_offered() {
        for suite in provider().cipher_suites.iter() {
            let name = format!("{:?}", suite.suite());
            assert!(name.contains("GCM") || name.contains("POLY1305"), "{name}");
        }
        let (_folder, identity) = made();
        assert_eq!(identity.config().unwrap().alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    }
}
