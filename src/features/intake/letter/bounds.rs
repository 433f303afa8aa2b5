//! What a mail may cost: looked at before it is parsed, over every byte once.
//! Does not know: MIME. It counts what parts, headers and nesting cannot be without, so it errs on the careful side only.

/// Parts that name their type, and so levels of nesting: the most real mails have is some dozens, and each level is one more frame of
/// the stack when the tree is dropped.
const TYPES_MAX: usize = 256;
/// Lines that could be header fields: each is a small piece of memory.
const FIELDS_MAX: usize = 60_000;
/// Runs of dashes, one of which begins each part.
const DASHES_MAX: usize = 20_000;
/// Of a mail that costs too much only the head of the message is read, and so much of it.
const HEAD_BYTES: usize = 256 << 10;

/// Whether the whole of a mail may be parsed.
pub(super) fn affordable(raw: &[u8]) -> bool {
    types(raw) <= TYPES_MAX && fields(raw) <= FIELDS_MAX && dashes(raw) <= DASHES_MAX
}

/// What is read of a mail that costs too much.
pub(super) fn head(raw: &[u8]) -> &[u8] {
    raw.get(..HEAD_BYTES).unwrap_or(raw)
}

fn types(raw: &[u8]) -> usize {
    const NAME: &[u8] = b"content-type";
    let starts = raw.windows(NAME.len()).filter(|at| matches!(at.first(), Some(b'c' | b'C')));
    starts.filter(|at| at.eq_ignore_ascii_case(NAME)).count()
}

fn fields(raw: &[u8]) -> usize {
    raw.split(|byte| *byte == b'\n').filter(|line| line.contains(&b':')).count()
}

/// Every second dash of a run counts: a boundary may be made of dashes.
fn dashes(raw: &[u8]) -> usize {
    raw.chunk_by(|a, b| a == b)
        .filter(|run| run.len() > 1 && run.first() == Some(&b'-'))
        .map(|run| run.len().min(8) / 2)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_made_to_nest_or_to_swell_is_not_parsed_whole() {
        assert!(affordable(b"From: a@b\r\nContent-Type: text/plain\r\n\r\n-- \r\nMia"));
        assert!(!affordable(&b"Content-Type: message/rfc822\n\n".repeat(TYPES_MAX + 1)));
        assert!(!affordable(&b"cOntent-type :text/plain\n".repeat(TYPES_MAX + 1)));
        assert!(!affordable(&b"a:\n".repeat(FIELDS_MAX + 1)));
        assert!(!affordable(&b"--x\n\n".repeat(DASHES_MAX + 1)));
        assert!(affordable(&b"-".repeat(1 << 20)));
        assert_eq!(head(&[b'a'; HEAD_BYTES + 1]).len(), HEAD_BYTES);
    }
}
