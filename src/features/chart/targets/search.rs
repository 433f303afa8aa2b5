//! How our things are searched for: by identifier, as FHIR R4 writes it in a URL.

/// `identifier=` with both parts encoded: what is searched for, and what `If-None-Exist` says.
pub(super) fn identified(system: &str, value: &str) -> String {
    format!("identifier={}%7C{}", encoded(system), encoded(value))
}

/// Percent-encoded but for the unreserved characters of RFC 3986 section 2.3. A comma, `$` and `|` within a value are escaped first
/// (FHIR R4, search, 3.1.1.5.7).
fn encoded(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, ',' | '$' | '|' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    let mut encoded = String::with_capacity(escaped.len() + 16);
    for byte in escaped.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}
