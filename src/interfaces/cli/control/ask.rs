//! The side of the command: connects if somebody serves, sends the order, takes what comes.

use std::io::ErrorKind;

use anyhow::{Context, bail};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::super::commands::{Answer, Order};
use super::{ANSWER_BYTES_MAX, CHUNK_BYTES, Heard, Said, reachable};
use crate::features::chart::Out;
use crate::server::Folder;

/// Asks the server that holds the folder; the files it sends go to `out`. `None` when nobody serves there; the order is then given back.
///
/// # Errors
/// The server's refusal as a sentence, or that it went away.
pub async fn ask(folder: &Folder, order: Order, out: &mut dyn Out) -> anyhow::Result<Result<Answer, Order>> {
    let Some(mut stream) = connect(folder).await? else { return Ok(Err(order)) };
    let gone = "The server ended before it answered";
    super::write(&mut stream, &order).await.context(gone)?;
    loop {
        match super::read(&mut stream, ANSWER_BYTES_MAX).await.context(gone)? {
            Said::Done(answer) => return Ok(Ok(answer)),
            Said::Refused(sentence) => bail!("{sentence}"),
            Said::File(name) => out.begin_file(&name)?,
            Said::Reached(done, total) => out.progress().told(done, total),
            Said::Bytes(count) => copy(&mut stream, count, out).await?,
            Said::Finish(_) => {
                let finished = out.finish();
                let heard = match &finished {
                    Ok(()) => Heard::Kept(true),
                    Err(error) => Heard::Lost(error.to_string()),
                };
                super::write(&mut stream, &heard).await.context(gone)?;
                finished?;
            }
        }
    }
}

async fn copy(stream: &mut UnixStream, mut count: usize, out: &mut dyn Out) -> anyhow::Result<()> {
    let mut bytes = vec![0; count.min(CHUNK_BYTES)];
    while count > 0 {
        let part = &mut bytes[..count.min(CHUNK_BYTES)];
        stream.read_exact(part).await.context("The server ended before the export was whole")?;
        out.write(part)?;
        count -= part.len();
    }
    Ok(())
}

async fn connect(folder: &Folder) -> anyhow::Result<Option<UnixStream>> {
    let path = folder.control();
    if !path.exists() {
        return Ok(None);
    }
    let (path, _held) = reachable(&path)?;
    match UnixStream::connect(&path).await {
        Ok(stream) => Ok(Some(stream)),
        // Left behind by a server that was killed.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be used", folder.control().display())),
    }
}
