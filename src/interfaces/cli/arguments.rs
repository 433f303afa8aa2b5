//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Secure messaging for care teams.
#[derive(Parser, Debug)]
#[command(name = "carethread", version, about, propagate_version = true)]
pub struct Arguments {
    #[command(flatten)]
    pub place: Place,
    #[command(subcommand)]
    pub task: Task,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// The data folder
    #[arg(long, global = true, value_name = "DIR", env = "CARETHREAD_DATA", default_value = "./carethread-data")]
    pub data: PathBuf,
    /// One JSON object on stdout, nothing else
    #[arg(long, global = true)]
    pub json: bool,
    /// The configuration file; `config.toml` of the data folder if it is there
    #[arg(long, global = true, value_name = "FILE", env = "CARETHREAD_CONFIG")]
    pub config: Option<PathBuf>,
    /// What is logged to stderr, such as `info` or `carethread=debug`
    #[arg(long, global = true, value_name = "FILTER", env = "CARETHREAD_LOG")]
    pub log: Option<String>,
    /// How it is logged
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "CARETHREAD_LOG_FORMAT")]
    pub log_format: LogFormat,
}

/// How lines are logged.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Task {
    /// Make a data folder: databases, key file, certificate
    Init(Init),
    /// Serve until told to stop
    Serve(Serve),
}

/// `init`
#[derive(Args, Debug)]
pub struct Init {
    /// The organization that owns the record: custodian of exports
    #[arg(long, value_name = "NAME")]
    pub organization: Option<String>,
}

/// `serve`
#[derive(Args, Debug)]
pub struct Serve {
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "HOST:PORT", env = "CARETHREAD_LISTEN", default_value = "127.0.0.1:8443")]
    pub listen: String,
    /// Reserved: a PostgreSQL URL in place of `record.db`
    #[arg(long, value_name = "URL", hide = true)]
    pub database: Option<String>,
}
