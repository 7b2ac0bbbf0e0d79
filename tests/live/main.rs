//! Live captures as users start and end them, each in namespaces of its own.
//!
//! ```text
//! cargo test --test live -- [NAME...]
//! ```
//!
//! [`privileges`] looks at what a capture may still do when its door is closed, [`absent`] takes away what it would like to
//! have, [`followed`] has the kernel follow connections, [`unreached`] lets nothing out, [`files`] moves the file that it
//! writes. Needs root, ip(8) and mount(8); skipped elsewhere, unless `FTPWHY_LAB=required`.

mod absent;
mod files;
mod followed;
mod privileges;
mod process;
mod session;
mod unreached;

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Set inside the namespaces: the name of the check.
const INSIDE: &str = "FTPWHY_LIVE_INSIDE";
/// A folder of the check alone, that everybody may write to.
const OPEN: &str = "/mnt";

const CHECKS: [(&str, fn()); 21] = [
    ("what-the-process-is-left-with", privileges::what_the_process_is_left_with),
    ("a-session-is-told-and-written", privileges::a_session_is_told_and_written),
    ("a-command-runs-as-ever", privileges::a_command_runs_as_ever),
    ("no-rights", absent::no_rights),
    ("no-right-to-trace", absent::no_right_to_trace),
    ("no-nft", absent::no_nft),
    ("interface-goes-down", absent::interface_goes_down),
    ("no-such-interface", absent::no_such_interface),
    ("a-packet-that-a-helper-expected-was-dropped", followed::a_packet_that_a_helper_expected_was_dropped),
    ("a-packet-that-a-helper-expects-was-dropped-before", followed::a_packet_that_a_helper_expects_was_dropped_before),
    ("what-goes-to-another-address-was-dropped", followed::what_goes_to_another_address_was_dropped),
    ("nothing-is-followed", followed::nothing_is_followed),
    ("nobody-at-the-next-hop", unreached::nobody_at_the_next_hop),
    ("nobody-on-the-way-back", unreached::nobody_on_the_way_back),
    ("the-program-accepts-nothing", unreached::the_program_accepts_nothing),
    ("a-rule-as-if-nobody-were-there", unreached::a_rule_as_if_nobody_were_there),
    ("the-own-output-drops-all", unreached::the_own_output_drops_all),
    ("the-own-output-sends-it-elsewhere", unreached::the_own_output_sends_it_elsewhere),
    ("disk-full", files::disk_full),
    ("moved-away", files::moved_away),
    ("hung-up", files::hung_up),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if arguments == [privileges::CLOSED] {
        privileges::closed();
        return ExitCode::SUCCESS;
    }
    if let [word, server] = &arguments[..]
        && word == followed::CLIENT
    {
        session::refused_transfer(server.parse().expect("the address of a server"));
        return ExitCode::SUCCESS;
    }
    if let Ok(inside) = env::var(INSIDE) {
        process::sh(&format!("mount -t tmpfs -o mode=1777 none {OPEN}; ip link set lo up"));
        CHECKS.iter().filter(|(name, _)| *name == inside).for_each(|(_, check)| check());
        return ExitCode::SUCCESS;
    }
    let wanted = env::var("FTPWHY_LAB").unwrap_or_default();
    if let Some(why) = missing(&wanted) {
        println!("live: skipped: {why}");
        return if wanted == "required" { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let is_asked = |name: &str| arguments.is_empty() || arguments.iter().any(|part| name.contains(part.as_str()));
    let asked: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).filter(|name| is_asked(name)).collect();
    let failed = asked.iter().filter(|name| !passes(name)).count();
    println!("live: {} passed, {failed} failed", asked.len() - failed);
    if failed == 0 && !asked.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn passes(name: &str) -> bool {
    let program = env::current_exe().expect("a running program has a path");
    let status = isolated(&program).env(INSIDE, name).env_remove("SUDO_UID").env_remove("SUDO_GID").status();
    let passes = status.is_ok_and(|status| status.success());
    println!("{name} ... {}", if passes { "ok" } else { "FAILED" });
    passes
}

/// A program in namespaces of its own, killed with this one.
fn isolated(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]);
    command.arg("--mount-proc").arg(program);
    command
}

/// What this machine lacks, tried in namespaces.
fn missing(wanted: &str) -> Option<String> {
    if wanted == "off" {
        return Some("FTPWHY_LAB is off".to_owned());
    }
    let tries = format!("ip link add later type veth && mount -t tmpfs none {OPEN}");
    match isolated(Path::new("sh")).args(["-c", &tries]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("setpriv: {error}")),
    }
}
