//! Standard output and standard error: answers on the one, sentences on the other.

use std::io::{self, Write};

use super::commands::Answer;
use crate::kernel::base::Refusal;

/// Writes lines to standard output and flushes.
///
/// # Errors
/// When nobody reads them any more.
pub fn lines<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in lines {
        out.write_all(line.as_ref().as_bytes())?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Writes one sentence to standard error: an error with its causes.
pub fn sentence(error: &anyhow::Error) {
    // Whoever closed our standard error does not want to know.
    let _ = writeln!(io::stderr(), "carethread: {error:#}");
}

/// A refusal as a sentence.
#[must_use]
pub fn said(refusal: &Refusal) -> String {
    let sentence = refusal.detail.as_deref().unwrap_or(refusal.code.title());
    match refusal.field {
        Some(field) => format!("{field}: {sentence}"),
        None => sentence.to_owned(),
    }
}

/// Writes an answer: one object, or lines for a person.
///
/// # Errors
/// When nobody reads them any more, or with the answer's own sentence when it is a failure.
pub fn answer(answer: &Answer, json: bool) -> anyhow::Result<()> {
    if json {
        lines([answer.object.to_string()])?;
    } else {
        lines(&answer.lines)?;
    }
    match &answer.failed {
        Some(sentence) => Err(anyhow::anyhow!("{sentence}")),
        None => Ok(()),
    }
}
