//! The `carethread` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The one TLS provider of the process; an error means that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    carethread::interfaces::cli::main()
}
