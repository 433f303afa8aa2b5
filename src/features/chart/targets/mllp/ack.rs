//! Acknowledgements: MSA and ERR of HL7 v2.5.1 (sections 2.15.8, 2.15.5), and what they come to.

use super::super::Outcome;
use super::super::outcome::tidy;

/// Characters of what a receiver says that are shown.
const WORDS_CHARS_MAX: usize = 2000;
/// Error conditions of table 0357 that pass: application record locked, application internal error.
const PASSING: &[&str] = &["206", "207"];

/// An acknowledgement.
pub(super) struct Ack {
    /// MSA-1.
    code: String,
    /// MSA-2: MSH-10 of what it answers.
    pub control_id: String,
    /// ERR-3.1 of each ERR.
    errors: Vec<String>,
    /// ERR-8, else ERR-7, else the text of ERR-3 of each; else MSA-3.
    words: String,
}

/// MSH-10 of a message, as it stands there.
pub(super) fn control_id(message: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(message);
    let header = text.split('\r').next().filter(|line| line.starts_with("MSH"))?;
    let separator = header.chars().nth(3)?;
    // MSH-1 is the separator itself: MSH-10 is the ninth field after it.
    header.split(separator).nth(9).filter(|id| !id.is_empty()).map(str::to_owned)
}

/// Reads an acknowledgement. None where it is none.
pub(super) fn read(bytes: &[u8]) -> Option<Ack> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.split(['\r', '\n']).filter(|line| !line.is_empty()).collect();
    let header = lines.first().filter(|line| line.starts_with("MSH"))?;
    let field = header.chars().nth(3).filter(|c| c.is_ascii_punctuation())?;
    let component = header.chars().nth(4).unwrap_or('^');
    let escape = header.chars().nth(6).unwrap_or('\\');
    let segment = |line: &str, n: usize| line.split(field).nth(n).unwrap_or_default().to_owned();
    let plain = |text: &str| unescaped(text, escape, field, component);
    let msa = lines.iter().find(|line| line.starts_with("MSA"))?;
    let mut ack =
        Ack { code: segment(msa, 1), control_id: segment(msa, 2), errors: Vec::new(), words: plain(&segment(msa, 3)) };
    let mut said = Vec::new();
    for line in lines.iter().filter(|line| line.starts_with("ERR")) {
        let condition = segment(line, 3);
        let mut parts = condition.split(component);
        ack.errors.push(parts.next().unwrap_or_default().to_owned());
        let texts =
            [segment(line, 8), segment(line, 7), parts.next().unwrap_or_default().to_owned(), condition.clone()];
        said.extend(texts.iter().find(|text| !text.is_empty()).map(|text| plain(text)));
    }
    if !said.is_empty() {
        ack.words = said.join("; ");
    }
    Some(ack)
}

/// Escape sequences of section 2.7; one that is not of a character is left out.
fn unescaped(text: &str, escape: char, field: char, component: char) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(escape) {
        plain.push_str(before);
        let Some((name, behind)) = after.split_once(escape) else {
            plain.push_str(after);
            return plain;
        };
        match name {
            "F" => plain.push(field),
            "S" => plain.push(component),
            "T" => plain.push('&'),
            "R" => plain.push('~'),
            "E" => plain.push(escape),
            ".br" => plain.push(' '),
            _ => {}
        }
        rest = behind;
    }
    plain.push_str(rest);
    plain
}

impl Ack {
    /// What it comes to: fhir-mapping section 10.
    pub(super) fn outcome(&self) -> Outcome {
        let words = tidy(&format!("{} {}", self.code, self.words), WORDS_CHARS_MAX);
        match self.code.as_str() {
            "AA" | "CA" => Outcome::Done { remote: Vec::new(), words },
            "AE" | "CE" if self.passes() => Outcome::again(words),
            "AE" | "CE" | "AR" | "CR" => Outcome::stopped("refused", words),
            _ => Outcome::again("The answer is no acknowledgement (MSA-1)."),
        }
    }

    /// Whether every error is one of those that pass.
    fn passes(&self) -> bool {
        !self.errors.is_empty() && self.errors.iter().all(|error| PASSING.contains(&error.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &str) -> Option<(String, &'static str, String)> {
        let ack = read(lines.as_bytes())?;
        let id = ack.control_id.clone();
        Some(match ack.outcome() {
            Outcome::Done { words, .. } => (id, "done", words),
            Outcome::Again { words, .. } => (id, "again", words),
            Outcome::Stopped { words, .. } => (id, "stopped", words),
            _ => panic!("an acknowledgement comes to nothing else"),
        })
    }

    #[test]
    fn every_code_comes_to_what_it_should() {
        let head = "MSH|^~\\&|CHART|R|US|R|20260302||ACK|1|P|2.5.1\r";
        for (rest, outcome, words) in [
            ("MSA|AA|ID\r", "done", "AA"),
            ("MSA|CA|ID\r", "done", "CA"),
            (
                "MSA|AE|ID\rERR|||207^Application internal error^HL70357|E||||try \\F\\ later\r",
                "again",
                "AE try | later",
            ),
            ("MSA|CE|ID\rERR|||206^Locked^HL70357|E\r", "again", "CE Locked"),
            ("MSA|AE|ID\rERR|||101^Missing^HL70357|E|||diagnostic|no patient\r", "stopped", "AE no patient"),
            ("MSA|AE|ID\rERR|||207^^|E\rERR|||204^Unknown key^HL70357|E\r", "stopped", "AE 207^^; Unknown key"),
            ("MSA|AE|ID|only here\r", "stopped", "AE only here"),
            ("MSA|AR|ID\rERR|||207^Busy^HL70357|E\r", "stopped", "AR Busy"),
            ("MSA|CR|ID\r", "stopped", "CR"),
        ] {
            let expected = Some(("ID".to_owned(), outcome, words.to_owned()));
            assert!(told(&format!("{head}{rest}")) == expected, "{rest}: {:?}", told(&format!("{head}{rest}")));
        }
        assert_eq!(told(&format!("{head}MSA|XX|ID\r")).map(|told| told.1), Some("again"));
        assert!(["", "MSH", "no HL7", "MSA|AA|ID", head].into_iter().all(|text| told(text).is_none()));
    }

    #[test]
    fn a_message_is_known_by_its_control_id() {
        assert_eq!(control_id(b"MSH|^~\\&|A|B|C|D|20260302||MDM^T02|ID7|P|2.5.1\rPID|1\r").as_deref(), Some("ID7"));
        assert_eq!(control_id(b"MSH|^~\\&|A|B|C|D|20260302||MDM^T02||P|2.5.1\r"), None);
        assert_eq!(control_id(b"PID|1"), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_receiver_sends_is_read_or_not(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            if let Some(ack) = read(&bytes) {
                drop(ack.outcome());
            }
            drop(control_id(&bytes));
        }
    }
}
