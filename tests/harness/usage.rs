//! What the kernel says of processes: their children and the CPU time they used (`/proc`, so Linux only).

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::Duration;

struct Stat {
    parent: u32,
    state: char,
    /// Clock ticks of user and system time, the process's own and those of the children it has waited for.
    own: u64,
    reaped: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, second, is in parentheses and may hold anything; what follows the last parenthesis may not.
    let fields: Vec<&str> = text[text.rfind(')')? + 2..].split(' ').collect();
    let number = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok());
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        own: number(11)? + number(12)?,
        reaped: number(13)? + number(14)?,
    })
}

/// The process and everything below it, parents first.
pub fn descendants(root: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for pid in pids {
        if let Some(stat) = stat(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut seen = HashSet::from([root]);
    let mut next = 0;
    while next < found.len() {
        for &child in children.get(&found[next]).into_iter().flatten() {
            if seen.insert(child) {
                found.push(child);
            }
        }
        next += 1;
    }
    found
}

/// CPU time, user and system, of a process, all below it, and all below it that ended and were waited for.
///
/// Linux counts in ticks of 1/100 s.
pub fn cpu(root: u32) -> Duration {
    let ticks: u64 = descendants(root).into_iter().filter_map(stat).map(|s| s.own + s.reaped).sum();
    Duration::from_millis(ticks * 10)
}

/// Whether the process is stopped by a signal.
pub fn is_stopped(pid: u32) -> bool {
    stat(pid).is_some_and(|s| s.state == 'T')
}

/// Resident memory in bytes of one process.
pub fn resident(pid: u32) -> Option<u64> {
    memory(pid, "VmRSS:")
}

/// The most that it ever had.
pub fn peak_resident(pid: u32) -> Option<u64> {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, label: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(label))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
