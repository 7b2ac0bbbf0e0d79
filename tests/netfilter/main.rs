//! Real rulesets in namespaces of their own, and the rule that the kernel's trace names for a packet that they drop.
//!
//! ```text
//! cargo test --test netfilter -- [NAME...]
//! ```
//!
//! [`cases`] says which rules and which packet, [`trial`] makes it happen with and without the trace, [`conntrack`] has the
//! kernel follow a session, [`sockets`] looks at sockets whose packets are dropped, [`killed`] kills a watch, [`snapshots`]
//! has counters name the rule. Needs root and nft; skipped elsewhere, unless `FTPWHY_LAB=required`.

#[allow(dead_code, reason = "the laboratory uses all of it")]
#[path = "../lab/host.rs"]
mod host;

mod cases;
mod conntrack;
mod killed;
mod session;
mod snapshots;
mod sockets;
mod trial;
mod world;

use std::env;
use std::process::{Command, ExitCode};

/// Set inside the namespaces.
const INSIDE: &str = "FTPWHY_NETFILTER_INSIDE";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if arguments == [session::ROLE] {
        return session::server();
    }
    if env::var_os(INSIDE).is_some() {
        return if run(&arguments) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let wanted = env::var("FTPWHY_LAB").unwrap_or_default();
    if let Some(why) = missing(&wanted) {
        println!("netfilter: skipped: {why}");
        return if wanted == "required" { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(env::current_exe().expect("a running program has a path"))
        .args(&arguments)
        .env(INSIDE, "1")
        .status();
    if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What this machine lacks, tried in namespaces of its own.
fn missing(wanted: &str) -> Option<String> {
    if wanted == "off" {
        return Some("FTPWHY_LAB is off".to_owned());
    }
    let tries = "nft add table inet try && iptables-nft -L -n && iptables-legacy -L -n && ip link add type veth";
    let mut unshare = Command::new("unshare");
    let tried = unshare.args(["--net", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", tries]).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

/// What is run.
enum Check {
    Case(&'static cases::Case),
    Other(fn(&world::World) -> host::Fallible<()>),
}

/// Runs all cases that are asked for; whether all is well.
fn run(filters: &[String]) -> bool {
    let wants = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let world = match world::World::new() {
        Ok(world) => world,
        Err(error) => {
            println!("netfilter: {error}");
            return false;
        }
    };
    let cases = cases::CASES.iter().map(|case| (case.name, Check::Case(case)));
    let others: [(_, fn(&_) -> _); 4] = [
        // before the kernel follows connections that have a helper
        ("snapshots", snapshots::check),
        ("conntrack", conntrack::check),
        ("sockets", sockets::check),
        ("killed", killed::check),
    ];
    let others = others.map(|(name, check)| (name, Check::Other(check)));
    let (mut passed, mut failed) = (0, 0);
    for (name, check) in cases.chain(others).filter(|(name, _)| wants(name)) {
        let result = match check {
            Check::Case(case) => trial::run(&world, case),
            Check::Other(check) => check(&world),
        };
        match result {
            Ok(()) => {
                passed += 1;
                println!("{name} ... ok");
            }
            Err(error) => {
                failed += 1;
                println!("{name} ... FAILED\n{error}\n");
            }
        }
    }
    println!("netfilter: {passed} passed, {failed} failed");
    failed == 0
}
