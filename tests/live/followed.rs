//! What the kernel tells of the connections that it follows: that a helper expected one, and what became of that; and what it
//! traces of those that the addresses of the control connection do not give away.

use std::env;
use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::process::Command;

use serde_json::Value;

use crate::process::{FTPWHY, Process, sh};
use crate::session::{DATA_PORT, TOLD, refused_transfer, serve, serve_announcing};

/// Runs only the client of a transfer, with the server's address.
pub(crate) const CLIENT: &str = "client";

/// A host of its own for the client, `far`, beside this one.
const TWO_HOSTS: &str = "
    mount -t tmpfs none /run
    ip netns add far
    ip link add near type veth peer name far netns far
    ip addr add 10.9.0.1/24 dev near
    ip link set near up
    ip -n far addr add 10.9.0.2/24 dev far
    ip -n far link set far up
    ip netns exec far sysctl -qw net.ipv4.tcp_syn_retries=1";

/// Rules of the client's output: the helper for sessions with `port`, and a drop of its data connection before or after
/// conntrack.
fn rules(port: u16, priority: i32) -> String {
    format!(
        "ip netns exec far nft -f - <<'end'
        table inet t {{
            ct helper ftp-standard {{ type \"ftp\" protocol tcp; }}
            chain helped {{ type filter hook output priority -150; tcp dport {port} ct helper set \"ftp-standard\"; }}
            chain output {{ type filter hook output priority {priority}; tcp dport {DATA_PORT} drop; }}
        }}
end"
    )
}

fn far(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", "far"]).arg(program);
    command
}

/// What is told on the client's host of a transfer through rules like these, with `further` options.
fn told(priority: i32, further: &[&str]) -> String {
    let port = serve().port();
    sh(&rules(port, priority));
    told_of(port, further)
}

/// What is told on the client's host of a transfer with the server at this port. The client's rules go.
fn told_of(port: u16, further: &[&str]) -> String {
    let port = port.to_string();
    let watch = Process::start(far(FTPWHY).args(["watch", "--control-port", &port]).args(further)).watching();
    let program = env::current_exe().expect("a running program has a path");
    let client = far(program).args([CLIENT, &format!("10.9.0.1:{port}")]).status();
    assert!(client.is_ok_and(|status| status.success()));
    let ended = watch.end();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    sh("ip netns exec far nft delete table inet t");
    ended.output
}

const READS: &str = "the helper ftp reads the control connection here";

pub(crate) fn a_packet_that_a_helper_expected_was_dropped() {
    let used_up = format!("a packet used up what the helper expected of port {DATA_PORT}, and did not pass this host");
    sh(TWO_HOSTS);
    for further in [&[][..], &["--trace"]] {
        let output = told(0, further);
        assert!(output.contains(READS) && output.contains(&used_up), "{further:?}: {output}");
    }
}

pub(crate) fn a_packet_that_a_helper_expects_was_dropped_before() {
    sh(TWO_HOSTS);
    let output = told(-300, &[]);
    let waits = format!("the helper still expects a connection to port {DATA_PORT}: no packet of it has reached it");
    assert!(output.contains(READS) && output.contains(&waits), "{output}");
}

/// The client drops what it sends to an address that the server announces, and that is not the server's.
pub(crate) fn what_goes_to_another_address_was_dropped() {
    sh(TWO_HOSTS);
    let port = serve_announcing(Some(Ipv4Addr::new(10, 9, 0, 9))).port();
    sh(
        "ip netns exec far nft 'table inet t { chain output { type filter hook output priority 0; ip daddr 10.9.0.9 drop; }; }'",
    );
    let output = told_of(port, &["--trace", "--format", "jsonl"]);
    let session: Value = serde_json::from_str(&output).unwrap_or_else(|_| panic!("{output}"));
    let verdict = &session["transfers"][0]["diagnosis"];
    let named = [&verdict["side"], &verdict["netfilter"]["from"], &verdict["netfilter"]["rule"]];
    assert_eq!(named, ["client", "trace", "ip daddr 10.9.0.9 drop"], "{verdict}");
}

/// As in a container whose kernel does not follow connections for it, and hides the rest of `/proc/sys`.
pub(crate) fn nothing_is_followed() {
    sh("mount -t tmpfs none /proc/sys/net/netfilter");
    let server = serve();
    let port = server.port().to_string();
    let watch = Process::start(Command::new(FTPWHY).args(["watch", "--control-port", &port])).watching();
    let line = "the kernel follows no connections here; without them, whether a helper reads a session, what it expects, and \
                which SYN has passed is not told";
    assert_eq!(watch.said.matches(line).count(), 1, "{}", watch.said);
    refused_transfer(server);
    let ended = watch.end();
    assert_eq!((ended.status, ended.output.contains(TOLD)), (Some(1), true), "{ended:?}");
}
