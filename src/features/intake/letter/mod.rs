//! A mail as a note needs it: the discussion it is about, in words, people and time, and what came with it (RFC 5322, MIME).
//! Does not know: the database, channels, who may. It is pure: bytes in, a [`Letter`] out, whatever the bytes are.
//! Invariants: nothing is loaded from elsewhere; everything is bounded; what cannot be read for certain is left out, not guessed.

mod bounds;
mod flowed;
mod forward;
mod html;
mod parts;
#[cfg(test)]
mod tests;
mod when;

use crate::kernel::base::Micros;
use crate::kernel::base::world::MINUTE;

/// Messages within messages that are looked into.
const NESTED_MAX: usize = 8;
/// People of a mail that are kept: more are in the original.
const WITH_MAX: usize = 200;
/// Characters of a name, an address, an id that are kept.
const WORD_CHARS_MAX: usize = 500;
/// Characters of a subject that are kept.
const SUBJECT_CHARS_MAX: usize = 1000;
/// Characters of the site's own findings that are kept.
const FINDINGS_CHARS_MAX: usize = 2000;
/// What a clock may be ahead of ours.
const CLOCK_AHEAD_MAX: Micros = 5 * MINUTE;
/// A mail that went through so many servers goes in circles (RFC 5321 section 6.3).
const HOPS_MAX: usize = 100;
/// Marks what was sent by this program, so that it is not taken in again.
pub const LOOP_FIELD: &str = "X-Carethread-Loop";
/// What stands for a text where a mail has none.
const NO_TEXT: &str = "(no text)";

/// In which field somebody stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Wrote it.
    From,
    /// Was written to.
    To,
    /// Got a copy.
    Cc,
}

impl Place {
    /// As it is kept.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
            Self::Cc => "cc",
        }
    }
}

/// Somebody a mail names.
#[derive(Clone, PartialEq, Eq)]
pub struct Correspondent {
    /// How they are called; the address if nothing else is said.
    pub name: String,
    /// Their address.
    pub address: Option<String>,
    /// In which field.
    pub place: Place,
}

impl Correspondent {
    fn new(name: Option<&str>, address: Option<&str>, place: Place) -> Option<Self> {
        let (name, address) =
            (name.map(plain).filter(|name| !name.is_empty()), address.map(plain).filter(|text| !text.is_empty()));
        let shown = name.or_else(|| address.clone())?;
        Some(Self { name: shown, address, place })
    }
}

/// A file that came with a mail.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    /// As it was named there; without folders.
    pub name: String,
    /// As what it was declared, lower case.
    pub media_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Why a mail was not sent by a person to people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Automatic {
    /// It went in circles.
    Loop,
    /// A program answered, or reports on a delivery.
    Reply,
    /// It went to a list.
    List,
}

/// What the site's own mail server found about a mail (RFC 8601).
#[derive(Clone, PartialEq, Eq)]
pub struct Findings {
    /// As it was written.
    pub text: String,
    /// It says that the sender is not who the mail says.
    pub forged: bool,
}

/// A mail.
pub struct Letter {
    /// `Message-ID`, without its brackets.
    pub message_id: Option<String>,
    /// Decoded, in one line.
    pub subject: String,
    /// The one address that sent it; none if there are several.
    pub sender: Option<String>,
    /// Who took part in the discussion: those of the innermost forwarded message.
    pub with: Vec<Correspondent>,
    /// The text of the mail and of what is forwarded in it.
    pub text: String,
    /// What came with it.
    pub attachments: Vec<Attachment>,
    /// Set if no person sent it.
    pub automatic: Option<Automatic>,
    /// What the site's mail server found.
    pub findings: Option<Findings>,
    /// Times of the messages, the innermost first.
    times: Vec<Micros>,
    /// A message is forwarded of which it is not known when it was sent.
    undated: bool,
}

/// When a discussion was held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// When.
    pub at: Micros,
    /// Not for certain.
    pub guessed: bool,
}

/// These bytes are no mail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoMail;

impl Letter {
    /// Reads a mail. `site` is the name under which the site's mail server writes what it found.
    ///
    /// # Errors
    /// There is no head of a message.
    pub fn read(raw: &[u8], site: Option<&str>) -> Result<Self, NoMail> {
        parts::read(raw, site)
    }

    /// When the discussion was held: the innermost forwarded message, else the mail itself, else now. Times ahead of us are not believed.
    #[must_use]
    pub fn held(&self, now: Micros) -> Held {
        let believed = self.times.iter().copied().find(|at| *at <= now.saturating_add(CLOCK_AHEAD_MAX));
        Held {
            at: believed.unwrap_or(now),
            guessed: believed.is_none() || self.undated || self.times.first() != believed.as_ref(),
        }
    }

    /// Subject and text, and whether they had to be cut to so many characters.
    #[must_use]
    pub fn words(&self, chars_max: usize) -> (String, bool) {
        let parts = [self.subject.as_str(), self.text.as_str()];
        let full: Vec<&str> = parts.into_iter().filter(|part| !part.trim().is_empty()).collect();
        let full = if full.is_empty() { NO_TEXT.to_owned() } else { full.join("\n\n") };
        match full.char_indices().nth(chars_max) {
            Some((end, _)) => (full.get(..end).unwrap_or_default().to_owned(), true),
            None => (full, false),
        }
    }
}

/// One line of so many characters at most, without what cannot be seen.
fn line(text: &str, chars_max: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > chars_max.saturating_mul(4) {
            break;
        }
    }
    match line.char_indices().nth(chars_max) {
        Some((end, _)) => line.get(..end).unwrap_or_default().to_owned(),
        None => line,
    }
}

fn plain(text: &str) -> String {
    line(text, WORD_CHARS_MAX)
}
