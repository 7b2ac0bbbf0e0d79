//! What is left when the laboratory is killed in the middle: nothing.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::host::{Fallible, output};
use crate::world;

/// A scenario that takes some seconds.
pub(crate) const SCENARIO: &str = "story-2";

/// Its hosts, their programs and captures are at least so many processes.
const BUSY: usize = 10;

/// Client and server each have a network namespace, and so has the laboratory itself.
const HOSTS: usize = 3;

/// Starts a laboratory, kills it when it is busy, and looks for what is left.
pub(crate) fn check() -> Fallible<()> {
    let before = outside()?;
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let mut lab = Command::new(program)
        .arg(SCENARIO)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let owner = lab.id();
    let was_busy = within(Duration::from_secs(20), || processes(owner).count() >= BUSY);
    let namespaces = namespaces(owner);
    lab.kill().map_err(|error| error.to_string())?;
    lab.wait().map_err(|error| error.to_string())?;
    if !was_busy {
        return Err("it never was busy".to_owned());
    }
    if namespaces.len() < HOSTS {
        return Err(format!("it had {} network namespaces only", namespaces.len()));
    }
    let left = || processes(owner).count() + inhabitants(&namespaces).count();
    if !within(Duration::from_secs(5), || left() == 0) {
        return Err(format!("{} processes are left, or in its namespaces", left()));
    }
    world::sweep();
    if world::folder_of(owner).exists() {
        return Err(format!("{} is left", world::folder_of(owner).display()));
    }
    let after = outside()?;
    if before == after { Ok(()) } else { Err(format!("outside it was\n{before}and is\n{after}")) }
}

/// Processes that a laboratory started, by their folders; some servers write over what tells it.
fn processes(owner: u32) -> impl Iterator<Item = PathBuf> {
    let sign = format!("{}={owner}", world::OWNER);
    all().filter(move |process| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == sign.as_bytes())
    })
}

/// The network namespaces that it made.
fn namespaces(owner: u32) -> BTreeSet<PathBuf> {
    let outside = namespace(Path::new("/proc/self"));
    processes(owner).filter_map(|process| namespace(&process)).filter(|it| Some(it) != outside.as_ref()).collect()
}

/// All who live in these.
fn inhabitants(namespaces: &BTreeSet<PathBuf>) -> impl Iterator<Item = PathBuf> {
    all().filter(|process| namespace(process).is_some_and(|it| namespaces.contains(&it)))
}

fn all() -> impl Iterator<Item = PathBuf> {
    fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path())
}

/// The network namespace of a process.
fn namespace(process: &Path) -> Option<PathBuf> {
    fs::read_link(process.join("ns/net")).ok()
}

/// The machine's own interfaces, mounts and rules.
fn outside() -> Fallible<String> {
    let rules = "ip -o link | cut -d: -f2; cat /proc/self/mounts; nft list ruleset; iptables-legacy-save 2>/dev/null | grep -v '^#'";
    output(Command::new("sh").args(["-c", &format!("{rules}; true")]), "")
}

/// Whether something comes true in time.
fn within(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let step = Duration::from_millis(50);
    (0..limit.as_millis() / step.as_millis()).any(|_| {
        thread::sleep(step);
        is_so()
    })
}
