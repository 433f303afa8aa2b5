//! A disclosure as a line of a table (RFC 4180): UTF-8, CRLF, and nothing that a spreadsheet takes for a formula.

use super::Disclosure;

/// The first line.
pub const HEADINGS: &str =
    "date,taken out by,recipient,purpose,format,entries,channels,from,to,since,sha256,entry,failed\r\n";

/// One disclosure.
#[must_use]
pub fn line(one: &Disclosure) -> String {
    let by = one.name.clone().unwrap_or_else(|| one.by.to_string());
    let told = &one.told;
    let recipient = told.target.clone().unwrap_or_else(|| format!("{by} (file)"));
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    let fields = [
        one.at.clone(),
        by,
        recipient,
        or_empty(&told.purpose),
        told.format.clone(),
        told.entries.to_string(),
        told.channels.to_string(),
        or_empty(&told.from),
        or_empty(&told.to),
        or_empty(&told.since),
        told.sha256.clone(),
        one.id.to_string(),
        or_empty(&one.failed),
    ];
    let mut line = fields.map(|text| field(&text)).join(",");
    line.push_str("\r\n");
    line
}

/// A field. Names and reasons are what people typed: a spreadsheet would run `=...` as a formula.
fn field(text: &str) -> String {
    let active = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if active { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_typed_stays_one_field_and_no_formula() {
        assert_eq!(field("=1+1"), "'=1+1");
        assert_eq!(field("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
        assert_eq!(field("plain"), "plain");
    }

    proptest! {
        /// Read back as RFC 4180 says, a field is the text it was made of, but for the mark of what would be a formula.
        #[test]
        fn a_field_is_read_back(text in any::<String>()) {
            let written = field(&text);
            let read = match written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                Some(inner) => inner.replace("\"\"", "\""),
                None => {
                    prop_assert!(!written.contains([',', '"', '\r', '\n']));
                    written
                }
            };
            let marked = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
            prop_assert_eq!(read, if marked { format!("'{text}") } else { text });
        }
    }
}
