//! What a service supervisor is told: that the server is ready, what it does, that it ends. The protocol is sd_notify(3): one datagram
//! of `NAME=VALUE` lines to the socket that `NOTIFY_SOCKET` names. Without the variable nobody is told.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where a supervisor listens.
#[derive(Clone, Debug)]
pub struct Supervisor(Option<SocketAddr>);

impl Supervisor {
    /// The one that started this process, if one did.
    #[must_use]
    pub fn of_environment() -> Self {
        Self(std::env::var_os("NOTIFY_SOCKET").and_then(|name| address(&name).ok()))
    }

    /// Requests are answered now.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=Going down: finishing commits, sending clients back");
    }

    /// A supervisor that does not hear is no reason not to serve.
    fn tell(&self, lines: &str) {
        let Some(address) = &self.0 else { return };
        let told = UnixDatagram::unbound().and_then(|socket| socket.send_to_addr(lines.as_bytes(), address));
        if let Err(error) = told {
            tracing::warn!(%error, "The supervisor was not told");
        }
    }
}

/// A path, or a name of the abstract namespace after `@`.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_hears_on_a_path_and_on_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("carethread-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (listener, named) in [
            (UnixDatagram::bind(&path).unwrap(), path.display().to_string()),
            (UnixDatagram::bind_addr(&abstract_name).unwrap(), format!("@{name}")),
        ] {
            let supervisor = Supervisor(Some(address(OsStr::new(&named)).unwrap()));
            supervisor.ready("Serving");
            supervisor.stopping();
            let mut heard = [0; 200];
            let length = listener.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"READY=1\nSTATUS=Serving");
            let length = listener.recv(&mut heard).unwrap();
            assert!(heard[..length].starts_with(b"STOPPING=1\n"));
        }
    }

    #[test]
    fn nobody_there_is_no_failure() {
        Supervisor(None).ready("Serving");
        Supervisor(Some(address(OsStr::new("/no/such/socket")).unwrap())).stopping();
    }
}
