//! The process around a command: logs, panics.

use tracing_subscriber::EnvFilter;

use super::arguments::{Arguments, LogFormat, Task};

/// Sends logs to standard error. A server tells what it does; a command tells only what went wrong.
pub fn logs(arguments: &Arguments) {
    let usual = if matches!(arguments.task, Task::Serve(_)) { "info" } else { "warn" };
    let filter = arguments.place.log.as_deref().unwrap_or(usual);
    // A filter that cannot be read is no reason not to start.
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(usual));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match arguments.place.log_format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    // Set already: a test runs commands in its own process.
    drop(set);
}

/// Tells a panic by its place only: its message may quote what it choked on.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        metrics::counter!("carethread_panics_total").increment(1);
        tracing::error!(place, "A task panicked");
    }));
}
