//! What the system allows a process: open files against connections, core dumps, and whether its memory may reach a disk.

use std::fs;
use std::path::Path;

use super::Patient;
use super::check::Check;
use crate::interfaces::http::accept;

/// Files beside the sockets.
const BESIDE: u64 = 500;
const UNLIMITED: &str = "unlimited";

/// Of the server if one runs, else of this command, which was started from the same place.
pub fn limits(patient: &Patient) -> Vec<Check> {
    let process = patient.server.as_ref().map_or_else(|| "self".to_owned(), |server| server.pid.to_string());
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let limits = read(&format!("/proc/{process}/limits"));
    let swap = spills(&read("/proc/swaps")) && !unswapped(&read(&format!("/proc/{process}/cgroup")));
    vec![files(&limits, patient.server.is_some()), memory(&limits, swap)]
}

/// Soft and hard limit by the name it has in `/proc/PID/limits` (proc(5)).
fn limit<'t>(limits: &'t str, name: &str) -> Option<(&'t str, &'t str)> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    let mut words = line.split_whitespace();
    Some((words.next()?, words.next()?))
}

fn files(limits: &str, runs: bool) -> Check {
    let Some((soft, hard)) = limit(limits, "Max open files") else {
        return Check::warning("open_files", "How many files may be open is not known", "Look with ulimit -n");
    };
    // A server raises the soft limit itself.
    let most = if runs { soft } else { hard };
    let (connections, found) =
        (accept::Limits::default().connections as u64, format!("{most} files and sockets may be open"));
    let most = if most == UNLIMITED { u64::MAX } else { most.parse().unwrap_or(0) };
    if most < connections + BESIDE {
        let found = format!("{found}, {connections} connections are taken: beyond, new ones wait");
        return Check::warning(
            "open_files",
            found,
            "LimitNOFILE=16384 in the unit, or ulimit -n 16384 before the start",
        );
    }
    Check::ok("open_files", found)
}

fn memory(limits: &str, swap: bool) -> Check {
    let dumps = limit(limits, "Max core file size").is_some_and(|(soft, _)| soft != "0");
    let found = match (dumps, swap) {
        (false, false) => return Check::ok("memory", "It is neither dumped nor swapped to a disk"),
        (true, false) => "A crash may write the memory, keys included, to a core file",
        (false, true) => "Memory, keys included, may be swapped to a disk",
        (true, true) => "Memory, keys included, may be swapped to a disk, and a crash may write it to a core file",
    };
    Check::warning(
        "memory",
        found,
        "LimitCORE=0 and MemorySwapMax=0 in the unit; or ulimit -c 0, and no swap or encrypted swap",
    )
}

/// Whether something of `/proc/swaps` is not memory itself.
fn spills(swaps: &str) -> bool {
    swaps.lines().skip(1).any(|line| !line.starts_with("/dev/zram"))
}

/// Whether the control group of a process (`0::/PATH`, cgroups(7)) keeps it out of swap.
fn unswapped(cgroup: &str) -> bool {
    let Some(path) = cgroup.lines().find_map(|line| line.strip_prefix("0::/")) else { return false };
    let max = Path::new("/sys/fs/cgroup").join(path).join("memory.swap.max");
    fs::read_to_string(max).is_ok_and(|max| max.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
                          Max core file size        0                    unlimited            bytes     \n\
                          Max open files            1024                 1048576              files     \n";

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        assert_eq!(limit(LIMITS, "Max open files"), Some(("1024", "1048576")));
        assert_eq!((files(LIMITS, true).state, files(LIMITS, false).state), (State::Warning, State::Ok));
        assert_eq!(files("", true).state, State::Warning);
        assert_eq!((memory(LIMITS, false).state, memory(LIMITS, true).state), (State::Ok, State::Warning));
        assert_eq!(
            memory(&LIMITS.replace("0                    unl", "unlimited            unl"), false).state,
            State::Warning
        );
    }

    #[test]
    fn swap_in_memory_is_none() {
        let head = "Filename\tType\tSize\n";
        assert!(
            !spills(head)
                && !spills(&format!("{head}/dev/zram0 partition 1\n"))
                && spills(&format!("{head}/swapfile file 1\n"))
        );
        assert!(!unswapped("") && !unswapped("0::/no/such/group\n"));
    }
}
