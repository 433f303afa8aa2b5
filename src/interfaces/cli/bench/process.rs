//! The process under load: started as a child, and what Linux tells about it (`proc(5)`).

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

/// A child may take this long to say that it listens: migrations and key check come before.
const START: Duration = Duration::from_secs(30);

/// Clock ticks a second in `/proc/<pid>/stat`: 100 on every Linux (`USER_HZ`).
const TICKS: u64 = 100;

/// A server of the same binary, killed when dropped.
pub struct Child {
    /// Its process id.
    pub pid: u32,
    /// Where it listens.
    pub address: SocketAddr,
    child: tokio::process::Child,
}

impl Child {
    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn end(mut self) -> anyhow::Result<()> {
        let asked = Command::new("kill").args(["-s", "TERM", &self.pid.to_string()]).status().await?;
        anyhow::ensure!(asked.success(), "the child cannot be told to end");
        timeout(START, self.child.wait()).await.context("the child did not end")??;
        Ok(())
    }
}

/// Whatever database the environment names is not for what a bench makes.
pub fn in_its_folder(command: &mut Command) {
    command.env_remove("CARETHREAD_DATABASE_URL").env_remove("CARETHREAD_DATABASE_KEYS_URL");
}

/// Starts this very binary with `arguments` and waits for its line `listening on https://HOST:PORT`.
///
/// # Errors
/// When it ends or stays silent instead.
pub async fn start(arguments: Vec<OsString>) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    in_its_folder(&mut command);
    let command = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let pid = child.id().context("the child ended at once")?;
    let mut lines = BufReader::new(child.stdout.take().context("the child has a standard output")?).lines();
    let address = timeout(START, async {
        while let Some(line) = lines.next_line().await? {
            if let Some(host) = line.split_once("listening on https://").map(|(_, host)| host.trim()) {
                return host.to_socket_addrs()?.next().context("the child names no address");
            }
        }
        bail!("the child ended without listening")
    })
    .await
    .context("the child did not listen in time")??;
    // Kept read to the end: a full pipe would stop the child.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(Child { pid, address, child })
}

/// Resident memory in KiB (`VmRSS`).
///
/// # Errors
/// When there is no such process.
pub fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the process has ended")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// Processor time used so far, user and system, in microseconds.
///
/// # Errors
/// When there is no such process.
pub fn processor_us(pid: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces; the fields after it are counted from 3.
    let (_, rest) = stat.rsplit_once(')').context("stat has a name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<u64>().ok());
    let (user, system) = (ticks(14).context("utime")?, ticks(15).context("stime")?);
    Ok((user + system) * (1_000_000 / TICKS))
}

/// Open sockets.
///
/// # Errors
/// When there is no such process, or it belongs to another user.
pub fn sockets(pid: u32) -> anyhow::Result<usize> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))?;
    let links = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    Ok(links.filter(|link| link.to_string_lossy().starts_with("socket:")).count())
}

/// How many files this process may have open.
///
/// # Errors
/// When `/proc` is not there.
pub fn files_max() -> anyhow::Result<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).context("no such limit")?;
    let soft = line.split_whitespace().next().context("a limit has a value")?;
    Ok(soft.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_tells_about_itself() {
        let pid = std::process::id();
        assert!(resident_kib(pid).unwrap() > 100);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(sockets(pid).unwrap() >= 1);
        drop(listener);
        assert!(files_max().unwrap() > 3);
        assert!(processor_us(pid).is_ok() && processor_us(u32::MAX).is_err());
    }
}
