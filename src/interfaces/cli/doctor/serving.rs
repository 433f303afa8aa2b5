//! Whether somebody serves the folder just now, how they are, and whether the port is free if nobody does.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::super::commands::{Command, Order};
use super::super::control;
use super::super::paper::Nowhere;
use super::Patient;
use super::check::Check;
use crate::server::Folder;
use crate::server::status::Status;

/// How long a server may take to answer.
const WAIT: Duration = Duration::from_secs(5);
/// Where `serve` listens when it is not told.
const LISTEN: &str = "127.0.0.1:8443";

/// The server on the folder, if one runs.
pub async fn server(folder: &Folder) -> (Option<Status>, Option<Check>) {
    let order = Order { by: None, command: Command::Status };
    let asked = tokio::time::timeout(WAIT, control::ask(folder, order, &mut Nowhere)).await;
    let check = match asked {
        Ok(Ok(Ok(answer))) => match serde_json::from_value::<Status>(answer.object) {
            Ok(status) => {
                let check = judged(&status);
                return (Some(status), Some(check));
            }
            Err(_) => other_version(),
        },
        // It hung up on a question it does not know.
        Ok(Err(_)) => other_version(),
        Err(_) => Check::problem(
            "server",
            "A server holds the folder and does not answer",
            "Look at its log; end it and start it again",
        ),
        Ok(Ok(Err(_))) => match folder.try_hold() {
            Ok(Some(_)) => Check::ok("server", "None runs on this folder"),
            Ok(None) => {
                let found = "Another process holds the folder and answers no commands";
                Check::warning(
                    "server",
                    found,
                    "It may be starting, ending, or a command at work: look again in a moment",
                )
            }
            Err(error) => Check::problem("server", format!("{error:#}"), "Run it as the user that serves"),
        },
    };
    (None, Some(check))
}

fn other_version() -> Check {
    let found = "A server of another version runs on this folder";
    Check::warning("server", found, "Use the program of its version, or start the server anew with this one")
}

fn judged(status: &Status) -> Check {
    let Status { url, pid, version, .. } = status;
    let found = format!("{url}, process {pid}, version {version}");
    if status.sealed {
        return Check::problem(
            "server",
            format!("{found}: sealed"),
            "See `key`; put it right and start the server again",
        );
    }
    if status.draining {
        return Check::warning("server", format!("{found}: going down"), "Look again in a moment");
    }
    if version != env!("CARGO_PKG_VERSION") {
        let mend = "Start the server anew, so that it runs this version";
        return Check::warning("server", format!("{found}; this program is {}", env!("CARGO_PKG_VERSION")), mend);
    }
    Check::ok("server", format!("{found}: serving"))
}

/// The port answers, or is free.
pub async fn port(patient: &Patient) -> Check {
    if let Some(status) = &patient.server {
        let mut address = status.address;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                [127, 0, 0, 1].into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        return match tokio::time::timeout(WAIT, TcpStream::connect(address)).await {
            Ok(Ok(_)) if status.address.ip().is_loopback() => {
                Check::ok("port", format!("{} answers; this machine alone reaches it", status.address))
            }
            Ok(Ok(_)) => Check::ok("port", format!("{} answers", status.address)),
            _ => Check::problem(
                "port",
                format!("{address} takes no connection"),
                "Look at the server's log and at the firewall",
            ),
        };
    }
    let listen = std::env::var("CARETHREAD_LISTEN").unwrap_or_else(|_| LISTEN.into());
    let given = "Name another one by --listen, or CARETHREAD_LISTEN";
    match TcpListener::bind(&listen).await {
        Ok(_) => Check::ok("port", format!("{listen} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Check::warning("port", format!("{listen} is taken by another program: `serve` does not start there"), given)
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let mend = "Ports below 1024 need AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit";
            Check::warning("port", format!("{listen} is not allowed to this user"), mend)
        }
        Err(error) => Check::warning("port", format!("{listen} cannot be listened on: {error}"), given),
    }
}
