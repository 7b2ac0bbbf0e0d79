//! Something that a capture would like to have is missing: one clear line says so, and the rest goes on.

use std::process::Command;

use crate::OPEN;
use crate::process::{FTPWHY, Process, sh};
use crate::session::{TOLD, refused_transfer, serve};

/// What says that no rule will be named.
const UNNAMED: &str = "the rule that drops a packet on this host is not named";

/// The program as nobody, with these capabilities.
fn as_nobody(capabilities: &[&str]) -> Command {
    let program = format!("{OPEN}/ftpwhy"); // where nobody may go
    sh(&format!("cp {FTPWHY} {program}"));
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    for sets in ["--inh-caps", "--ambient-caps"] {
        command.args(capabilities.iter().flat_map(|capability| [sets.to_owned(), format!("+{capability}")]));
    }
    command.arg(program);
    command
}

pub(crate) fn no_rights() {
    let ended = Process::start(as_nobody(&[]).arg("watch")).ends();
    assert_eq!((ended.status, ended.output.as_str()), (Some(2), ""));
    assert!(ended.errors.contains("CAP_NET_RAW") && ended.errors.contains("sudo"), "{ended:?}");
    assert_eq!(ended.errors.lines().count(), 1, "{ended:?}");
}

pub(crate) fn no_right_to_trace() {
    let server = serve();
    let port = server.port().to_string();
    let mut command = as_nobody(&["net_raw"]);
    told_without_the_rule(&mut command, &port, || refused_transfer(server));
}

pub(crate) fn no_nft() {
    let server = serve();
    let port = server.port().to_string();
    sh(
        "for folder in /usr/sbin /usr/bin /sbin /bin; do if [ -e $folder/nft ]; then mount --bind /dev/null $folder/nft; fi; done",
    );
    told_without_the_rule(&mut Command::new(FTPWHY), &port, || refused_transfer(server));
}

/// A watch that is to trace and cannot says so in a line, and tells what it sees.
fn told_without_the_rule(command: &mut Command, port: &str, transfer: impl Fn()) {
    let watch = Process::start(command.args(["watch", "--trace", "--control-port", port])).watching();
    assert!(watch.said.lines().any(|line| line.contains(UNNAMED)), "{}", watch.said);
    transfer();
    let ended = watch.end();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.output.contains(TOLD), "{ended:?}");
}

pub(crate) fn interface_goes_down() {
    let server = serve();
    let watch = Process::watch(&["-i", "lo", "--control-port", &server.port().to_string()]);
    refused_transfer(server);
    sh("ip link set lo down");
    let ended = watch.ends();
    assert_eq!(ended.status, Some(2), "{ended:?}");
    assert!(ended.output.contains(TOLD), "{ended:?}");
    assert!(ended.errors.contains("the capture on lo has ended: the interface went down or is gone"), "{ended:?}");
}

pub(crate) fn no_such_interface() {
    let ended = Process::start(Command::new(FTPWHY).args(["watch", "-i", "eth7"])).ends();
    assert_eq!((ended.status, ended.output.as_str()), (Some(2), ""));
    assert!(ended.errors.contains("no interface is called 'eth7'; there are lo"), "{ended:?}");
}
