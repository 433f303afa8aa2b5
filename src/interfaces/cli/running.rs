//! The process around a command: logs, panics.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use super::arguments::{Arguments, LogFormat, Task};

/// Sends logs to standard error. A server tells what it does; a command tells only what went wrong.
pub fn logs(arguments: &Arguments) {
    let usual = if matches!(arguments.task, Task::Serve(_)) { "info" } else { "warn" };
    let filter = arguments.place.log.as_deref().unwrap_or(usual);
    // A filter that cannot be read is no reason not to start.
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(usual));
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let lines = match arguments.place.log_format {
        LogFormat::Text => lines.with_filter(filter_fn(may_be_told)).boxed(),
        LogFormat::Json => lines.json().with_filter(filter_fn(may_be_told)).boxed(),
    };
    // Set already: a test runs commands in its own process.
    let _ = registry().with(lines).with(filter).try_init();
}

/// What others log in detail is what passes through them: frames, headers, statements. No filter lets that out.
fn may_be_told(line: &Metadata<'_>) -> bool {
    line.target().starts_with("carethread") || *line.level() <= Level::WARN
}

/// Tells a panic by its place only: its message may quote what it choked on.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        metrics::counter!("carethread_panics_total").increment(1);
        tracing::error!(place, "A task panicked");
    }));
}
