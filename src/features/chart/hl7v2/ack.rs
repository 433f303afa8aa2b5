//! What a receiver answers (*ACK*, HL7 v2.5.1 chapter 2): read leniently, for many senders are not strict. Does not know: connections,
//! what an answer comes to.

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ack {
    /// MSA-1: `AA`, `CA`, `AE`, `CE`, `AR`, `CR`.
    pub code: String,
    /// MSA-2: the control id it answers.
    pub control_id: String,
    /// ERR-3.1 of each ERR, or ERR-1.4.1 of older receivers (table 0357).
    pub errors: Vec<String>,
    /// What the receiver says to people, of each ERR: ERR-8, else ERR-7, else the text of ERR-3, else all of ERR-3; without any of that
    /// MSA-3.
    pub words: String,
}

/// Separators of a message.
struct Separators {
    field: char,
    component: char,
    repetition: char,
    escape: char,
    sub: char,
}

/// MSH-10 of a message of ours, as it stands there.
#[must_use]
pub fn control_id(message: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(message);
    let header = text.split('\r').next().filter(|line| line.starts_with("MSH"))?;
    let separator = header.chars().nth(3)?;
    // MSH-1 is the separator itself: MSH-10 is the ninth field after it.
    header.split(separator).nth(9).filter(|id| !id.is_empty()).map(str::to_owned)
}

/// Reads an answer without its MLLP frame.
///
/// # Errors
/// A sentence: it is not one. Nothing of it is repeated there.
pub fn ack(bytes: &[u8]) -> Result<Ack, &'static str> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{b}').trim_end_matches(['\u{1c}', '\r', '\n']);
    let header = text.strip_prefix("MSH").ok_or("The answer is no acknowledgement: it does not begin with MSH.")?;
    let mut signs = header.chars();
    let mut sign = |otherwise: Option<char>| match signs.next() {
        Some(c) if !c.is_alphanumeric() && !c.is_control() => Ok(c),
        _ => otherwise.ok_or("The answer is no acknowledgement: it has no separators."),
    };
    let field = sign(None)?;
    let (component, repetition, escape, sub) =
        (sign(Some('^'))?, sign(Some('~'))?, sign(Some('\\'))?, sign(Some('&'))?);
    let separators = Separators { field, component, repetition, escape, sub };
    let mut msa = None;
    let (mut errors, mut said) = (Vec::new(), Vec::new());
    for segment in text.split(['\r', '\n']) {
        let fields: Vec<&str> = segment.split(separators.field).collect();
        let get = |at: usize| fields.get(at).map(|value| separators.plain(value)).filter(|value| !value.is_empty());
        match fields.first() {
            Some(&"MSA") if msa.is_none() => msa = Some((get(1), get(2), get(3))),
            Some(&"ERR") => {
                let part = |at: usize, component| fields.get(at).and_then(|value| separators.part(value, component));
                errors.extend(part(3, 0).or_else(|| part(1, 3)));
                said.extend(get(8).or_else(|| get(7)).or_else(|| part(3, 1)).or_else(|| get(3)));
            }
            _ => {}
        }
    }
    let (code, control_id, told) = msa.ok_or("The answer is no acknowledgement: it has no MSA segment.")?;
    let code = code.filter(|code| ["AA", "CA", "AE", "CE", "AR", "CR"].contains(&code.as_str()));
    let code = code.ok_or("The answer is no acknowledgement (MSA-1).")?;
    let words = if said.is_empty() { told.unwrap_or_default() } else { said.join("; ") };
    Ok(Ack { code, control_id: control_id.unwrap_or_default(), errors, words })
}

impl Separators {
    /// The text of a component of the first repetition.
    fn part(&self, value: &str, at: usize) -> Option<String> {
        let first = value.split(self.repetition).next()?;
        let component = first.split(self.component).nth(at)?;
        let component = component.split(self.sub).next()?;
        Some(self.plain(component)).filter(|text| !text.is_empty())
    }

    /// A field as text: escapes resolved, control characters taken out. What is no escape stays as it is.
    fn plain(&self, value: &str) -> String {
        let mut out = String::with_capacity(value.len());
        let mut rest = value;
        while let Some((before, behind)) = rest.split_once(self.escape) {
            out.push_str(before);
            let Some((name, after)) = behind.split_once(self.escape) else {
                out.push(self.escape);
                rest = behind;
                continue;
            };
            match name {
                "F" => out.push(self.field),
                "S" => out.push(self.component),
                "T" => out.push(self.sub),
                "R" => out.push(self.repetition),
                "E" => out.push(self.escape),
                ".br" => out.push('\n'),
                _ => {
                    out.push(self.escape);
                    rest = behind;
                    continue;
                }
            }
            rest = after;
        }
        out.push_str(rest);
        out.chars().filter(|c| !c.is_control() || *c == '\n').collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(text: &str) -> Ack {
        ack(text.as_bytes()).expect("an answer")
    }

    #[test]
    fn an_acknowledgement_is_read_with_the_receivers_words() {
        let yes = told("MSH|^~\\&|CHART|R|CT|R|20260302||ACK^T02|9|P|2.5.1\rMSA|AA|CT68CBE6381ACEDE95CA\r");
        assert_eq!((yes.code.as_str(), yes.control_id.as_str()), ("AA", "CT68CBE6381ACEDE95CA"));
        assert_eq!((yes.errors.len(), yes.words.as_str()), (0, ""));
        let no = told(
            "MSH|^~\\&|C\rMSA|AE|CT1|Rejected\rERR||PID^1^3|204^Unknown key identifier^HL70357|E|||diag|Patient \\T\\ visit unknown\\.br\\Ask\r",
        );
        assert_eq!((no.errors, no.words.as_str()), (vec!["204".to_owned()], "Patient & visit unknown\nAsk"));
        let old = told("\u{b}MSH|^~\\&|C\r\nMSA|AR|CT1|Not today\r\nERR|PID^1^3^204&Unknown\r\n\u{1c}\r");
        assert_eq!((old.code.as_str(), old.errors, old.words.as_str()), ("AR", vec!["204".to_owned()], "Not today"));
        let other = told("MSH#*%$!\rMSA#CE#CT2#a$S$b");
        assert_eq!((other.code.as_str(), other.words.as_str()), ("CE", "a*b"));
    }

    #[test]
    fn a_message_is_known_by_its_control_id() {
        assert_eq!(control_id(b"MSH|^~\\&|A|B|C|D|20260302||MDM^T02|ID7|P|2.5.1\rPID|1\r").as_deref(), Some("ID7"));
        assert_eq!(control_id(b"MSH|^~\\&|A|B|C|D|20260302||MDM^T02||P|2.5.1\r"), None);
        assert_eq!(control_id(b"PID|1"), None);
    }

    #[test]
    fn what_is_no_acknowledgement_is_refused() {
        for text in ["", "HTTP/1.1 400", "MSH", "MSH|^~\\&|A\r", "MSH|^~\\&|A\rMSA|OK|1\r", "MSH|^~\\&|A\rMSA\r"] {
            assert!(ack(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_a_peer_sends_breaks_it(bytes in prop::collection::vec(any::<u8>(), 0..300), tail in "[A-Z|^~\\\\&\r\n ]{0,80}") {
            let _ = ack(&bytes);
            let _ = control_id(&bytes);
            if let Ok(ack) = ack(format!("MSH|^~\\&|{tail}\rMSA|AA|1|{tail}").as_bytes()) {
                prop_assert!(!ack.words.contains(|c: char| c.is_control() && c != '\n'));
            }
        }

        #[test]
        fn what_is_escaped_is_read_as_it_was(text in "[ -~\u{e4}\u{5d0}\u{6f22}\u{1f600}]{1,60}") {
            let told = ack(format!("MSH|^~\\&|A\rMSA|AE|1|{}", super::super::message::escape(&text)).as_bytes()).expect("an answer");
            prop_assert_eq!(told.words, text);
        }
    }
}
