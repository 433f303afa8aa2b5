//! How far an export has come, on the terminal of whoever waits for it. Nothing is drawn where standard error is no terminal: what reads a
//! pipe or a log reads sentences.

use std::fmt::Write;
use std::io::{IsTerminal, stderr};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::features::chart::Progress;

/// How often it is drawn.
const LOOK: Duration = Duration::from_millis(100);
/// No name, no word of a record: terminals are read over shoulders, and kept.
const LINE: &str = "[{bar:32}] {pos} of {len} entries, {rate}, {eta} left";

/// A bar that is drawn until it is dropped.
pub struct Bar {
    drawing: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Bar {
    /// Draws how far `progress` is; nothing if `quiet`, or where nobody would see it.
    pub fn over(progress: Progress, quiet: bool) -> Self {
        if quiet || !stderr().is_terminal() {
            return Self { drawing: None };
        }
        let (ends, ended) = channel();
        // A thread of its own: while a file is written, those of the runtime are busy.
        Self { drawing: Some((ends, std::thread::spawn(move || draw(&progress, &ended)))) }
    }

    /// Whether somebody sees it.
    pub fn is_drawn(&self) -> bool {
        self.drawing.is_some()
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some((ends, drawing)) = self.drawing.take() {
            drop(ends);
            let _ = drawing.join();
        }
    }
}

fn draw(progress: &Progress, ended: &Receiver<()>) {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template(LINE) {
        let rate = |state: &ProgressState, line: &mut dyn Write| {
            // Nobody reads it where it cannot be written.
            let _ = write!(line, "{:.0}/s", state.per_sec());
        };
        bar.set_style(style.progress_chars("=> ").with_key("rate", rate));
    }
    while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        show(&bar, progress);
    }
    let (done, total) = show(&bar, progress);
    // What was refused leaves no bar above the sentence that says why.
    if total > 0 && done == total { bar.finish() } else { bar.finish_and_clear() }
}

fn show(bar: &ProgressBar, progress: &Progress) -> (u64, u64) {
    let (done, total) = progress.entries();
    if total > 0 {
        bar.set_length(total);
        bar.set_position(done);
    }
    (done, total)
}
