//! Standard output and standard error: answers on the one, sentences on the other.

use std::io::{self, Write};

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
