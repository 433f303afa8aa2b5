//! Text forms of bytes: hex, base64 (RFC 4648) and canonical JSON. Floor 1.
//! Does not know: what the bytes mean.
//! Invariant: decoding is strict, one text for one value, so that a signed or hashed text cannot be varied unnoticed.

use serde_json::Value;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Reads lower-case hex; anything else is `None`.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?)).collect()
}

/// Base64, standard alphabet, padded (RFC 4648 section 4).
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    let mut text = encode(bytes, STANDARD);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// Base64, alphabet for URLs, not padded (RFC 4648 section 5).
#[must_use]
pub fn base64_url(bytes: &[u8]) -> String {
    encode(bytes, URL)
}

/// Reads padded standard base64; wrong padding, foreign characters and unused bits that are not zero are `None`.
#[must_use]
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    decode(digits.as_bytes(), STANDARD)
}

/// Reads unpadded base64 for URLs, as strictly as [`from_base64`].
#[must_use]
pub fn from_base64_url(text: &str) -> Option<Vec<u8>> {
    decode(text.as_bytes(), URL)
}

fn encode(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0_u32, |word, byte| (word << 8) | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            let digit = (word >> (18 - 6 * place)) & 63;
            text.push(char::from(alphabet[digit as usize]));
        }
    }
    text
}

fn decode(digits: &[u8], alphabet: &[u8; 64]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut word = 0_u32;
        for digit in group {
            word = (word << 6) | value(*digit, alphabet)?;
        }
        let count = match group.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            _ => return None,
        };
        word <<= 6 * (4 - group.len());
        let whole = word.to_be_bytes();
        if whole[1 + count..].iter().any(|unused| *unused != 0) {
            return None;
        }
        bytes.extend_from_slice(&whole[1..=count]);
    }
    Some(bytes)
}

fn value(digit: u8, alphabet: &[u8; 64]) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        _ if digit == alphabet[62] => 62,
        _ if digit == alphabet[63] => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

/// JSON without whitespace and with the members of every object sorted by name: equal values give equal bytes.
/// Independent of the order a map keeps, which a feature of a dependency can change.
#[must_use]
pub fn canonical(json: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_canonical(json, &mut bytes);
    bytes
}

fn write_canonical(json: &Value, bytes: &mut Vec<u8>) {
    match json {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_unstable();
            bytes.push(b'{');
            for (place, name) in names.into_iter().enumerate() {
                if place > 0 {
                    bytes.push(b',');
                }
                write_scalar(&Value::String(name.clone()), bytes);
                bytes.push(b':');
                write_canonical(&members[name.as_str()], bytes);
            }
            bytes.push(b'}');
        }
        Value::Array(elements) => {
            bytes.push(b'[');
            for (place, element) in elements.iter().enumerate() {
                if place > 0 {
                    bytes.push(b',');
                }
                write_canonical(element, bytes);
            }
            bytes.push(b']');
        }
        scalar => write_scalar(scalar, bytes),
    }
}

fn write_scalar(scalar: &Value, bytes: &mut Vec<u8>) {
    serde_json::to_writer(bytes, scalar).expect("a JSON value is written to memory without fail");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base64_follows_rfc_4648_section_10() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
            assert_eq!(from_base64(text).as_deref(), Some(bytes.as_bytes()));
            assert_eq!(from_base64_url(text.trim_end_matches('=')).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(base64_url(&[0xfb, 0xff]), "-_8");
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn lax_base64_and_hex_are_refused() {
        for text in [
            "Zg", "Zg=", "Zh==", "Zm9=", "====", "=", "Z===", "Zg==Zg==", " Zg=", "Zg=\n", "Zm9v\n", "-_8=", "Zm 9",
            "Zm9vZ",
        ] {
            assert_eq!(from_base64(text), None, "{text:?}");
        }
        for text in ["Z", "Zh", "Zg==", "+/8", "-_9"] {
            assert_eq!(from_base64_url(text), None, "{text:?}");
        }
        for text in ["0", "0G", "AB", "0x", " 0"] {
            assert_eq!(from_hex(text), None, "{text:?}");
        }
    }

    #[test]
    fn canonical_json_sorts_at_every_depth() {
        let json: Value =
            serde_json::from_str(r#"{ "b": [ {"z":1, "a":"\u00e9\n"} , null ], "a": {"c": true, "B": -0.5} }"#)
                .expect("JSON");
        assert_eq!(
            String::from_utf8(canonical(&json)).expect("UTF-8"),
            r#"{"a":{"B":-0.5,"c":true},"b":[{"a":"é\n","z":1},null]}"#
        );
    }

    proptest! {
        #[test]
        fn texts_come_back(bytes: Vec<u8>) {
            prop_assert_eq!(from_hex(&hex(&bytes)), Some(bytes.clone()));
            prop_assert_eq!(from_base64(&base64(&bytes)), Some(bytes.clone()));
            prop_assert_eq!(from_base64_url(&base64_url(&bytes)), Some(bytes));
        }

        #[test]
        fn a_text_that_is_read_is_the_only_text_of_its_bytes(text in "\\PC*|[A-Za-z0-9+/=_-]*") {
            if let Some(bytes) = from_base64(&text) { prop_assert_eq!(base64(&bytes), text.clone()); }
            if let Some(bytes) = from_base64_url(&text) { prop_assert_eq!(base64_url(&bytes), text.clone()); }
            if let Some(bytes) = from_hex(&text) { prop_assert_eq!(hex(&bytes), text); }
        }
    }
}
