//! The form `ndjson`: an event a line, which proves itself line by line. Beside the frame stand the entry's leaf and the random value its
//! words were committed to with; the first line of a channel brings the head that was signed when the export began.
//! Does not know: what is asked for, who asks.

#[cfg(test)]
mod tests;
mod verify;

use serde::{Deserialize, Serialize};

use super::source::Part;
use crate::kernel::crypto::{VerifierKey, base64};
use crate::kernel::log::{Fact, verify::leaf_of};

pub use verify::{LinesVerdict, verify_lines};

/// What was signed of a channel, and how far this file goes in it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    /// The signed note of the channel's head.
    note: String,
    /// Who signed it, as `NAME+HASH+KEY`.
    signer: String,
    /// The last entry of the channel that was asked for; none where what was asked for is no span.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<u64>,
}

/// The lines of one channel in the making.
pub(super) struct Lines {
    signed: Option<Signed>,
    last: Option<i64>,
}

impl Lines {
    /// Of that part of the record, of which all is taken or a choice.
    pub fn of(part: &Part, signer: &VerifierKey, all: bool) -> Self {
        let to = part.fresh.last().filter(|_| all).map(|[_, to]| to.unsigned_abs());
        let signed = Signed { note: part.begun.note.clone(), signer: signer.to_string(), to };
        Self { signed: Some(signed), last: None }
    }

    /// The next line: the event frame and, in the same object, the entry's id, the chain after it and what proves both.
    pub fn line(&mut self, fact: &Fact) -> Result<Vec<u8>, serde_json::Error> {
        let frame = fact.frame();
        let open = frame.as_str().strip_suffix('}').unwrap_or_default();
        let mut line = Vec::with_capacity(open.len() + 512);
        line.extend_from_slice(open.as_bytes());
        let leaf = base64(&leaf_of(fact).to_bytes());
        let more = format!(",\"id\":\"{}\",\"head\":\"{}\",\"leaf\":\"{leaf}\"", fact.id, base64(&fact.head));
        line.extend_from_slice(more.as_bytes());
        if !fact.withheld {
            line.extend_from_slice(format!(",\"r\":\"{}\"", base64(&fact.r)).as_bytes());
        }
        // What was not asked for is told from what was taken out of the file.
        if self.last.replace(fact.seq).is_some_and(|last| last + 1 < fact.seq) {
            line.extend_from_slice(b",\"gap\":true");
        }
        if let Some(signed) = self.signed.take() {
            line.extend_from_slice(b",\"signed\":");
            serde_json::to_writer(&mut line, &signed)?;
        }
        line.extend_from_slice(b"}\n");
        Ok(line)
    }
}
