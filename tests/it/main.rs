//! The program seen from outside: through sockets, HTTP routes, the command line and the files it leaves. Each test has a server of
//! its own in a folder of its own, so that all of them run side by side.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a failure shows the seed and the server's last words")]

#[expect(dead_code, reason = "the harness comes before the commands that are tested with it")]
mod chance;
mod http;
#[expect(dead_code, reason = "the harness comes before the commands that are tested with it")]
mod server;
#[expect(dead_code, reason = "the harness comes before the commands that are tested with it")]
mod socket;

mod harness;
