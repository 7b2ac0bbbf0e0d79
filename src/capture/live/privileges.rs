//! Closes the door behind a capture: what reads packets from strangers has no rights.
//!
//! Read first: capabilities(7), landlock(7), seccomp(2). Call [`drop_all`] when all that takes rights is open and every program
//! is started. What a kernel does not offer is told, and the rest is done.

use std::fmt::Display;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, RestrictSelfAttr, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};

mod system_calls;

/// `nobody` and `nogroup`, who own nothing.
const NOBODY: u32 = 65534;
/// Where time zones are found, for local times: what jiff reads.
const TIME_ZONES: [&str; 4] = ["/etc/localtime", "/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];
/// The newest Landlock that is known here; an older kernel enforces what it knows of it.
const LANDLOCK: ABI = ABI::V10;

/// Gives up all rights, for good.
///
/// Root becomes the [caller of sudo](sudo_caller), or nobody. No capability is left, and none can be had. Of files, time zones
/// can be read, and those be written that lie in the same folder as one of `rewritten`. No system call is left but the
/// few that reading packets, telling and ending take.
///
/// Returns a line for each of these that cannot be had here. User and system calls are those of all threads; the rest is
/// that of this thread and of those that it starts from now on.
pub fn drop_all(rewritten: &[&Path]) -> Vec<String> {
    let fence = fence(rewritten); // finds the folders while it may
    let steps = [
        undone("it keeps the rights of root", drop_user()),
        undone("it keeps its capabilities", drop_capabilities()),
        undone("programs could give it rights", set_no_new_privs(true)),
        undone("it may use any file that its user may", fence.and_then(enforce)),
        undone("it may make any system call", system_calls::restrict()),
    ];
    steps.into_iter().flatten().collect()
}

fn undone<E: Display>(what: &str, step: Result<(), E>) -> Option<String> {
    step.err().map(|why| format!("the process that reads packets has more rights than it needs: {what}: {why}"))
}

/// User and group of who called sudo(8), unless that is root.
pub fn sudo_caller() -> Option<(u32, u32)> {
    let id = |name| std::env::var(name).ok()?.parse().ok().filter(|&id| id != 0);
    Some((id("SUDO_UID")?, id("SUDO_GID")?))
}

fn drop_user() -> Result<(), Errno> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let (user, group) = sudo_caller().unwrap_or((NOBODY, NOBODY));
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    drop_bounds();
    // each is tried, whatever becomes of the others
    setgroups(&[]).and(setresgid(group, group, group)).and(setresuid(user, user, user))
}

/// Takes all capabilities from the set that limits what programs can give. Only root can; from others
/// [`set_no_new_privs`] takes the same.
fn drop_bounds() {
    for bit in 0..u64::BITS {
        // the kernel does not know all of them
        let _ = remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit));
    }
}

fn drop_capabilities() -> rustix::io::Result<()> {
    let none = CapabilitySet::empty();
    clear_ambient_capability_set()?;
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}

/// What Landlock is to allow.
fn fence(rewritten: &[&Path]) -> Result<RulesetCreated, String> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let write = make_bitflags!(AccessFs::{WriteFile | MakeReg | Truncate});
    let folders = rewritten.iter().filter_map(|path| path.parent());
    let folders = folders.map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let fence = || {
        Ruleset::default()
            .handle_access(AccessFs::from_all(LANDLOCK))?
            .handle_access(AccessNet::from_all(LANDLOCK))?
            .scope(Scope::from_all(LANDLOCK))?
            .create()?
            .add_rules(path_beneath_rules(TIME_ZONES, read))?
            .add_rules(path_beneath_rules(folders, write))
    };
    fence().map_err(|error: RulesetError| error.to_string())
}

fn enforce(fence: RulesetCreated) -> Result<(), String> {
    let status = fence.all_threads(true).and_then(RulesetCreated::restrict_self).map_err(|error| error.to_string())?;
    match status.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => Err("the kernel has no Landlock".to_owned()),
    }
}
