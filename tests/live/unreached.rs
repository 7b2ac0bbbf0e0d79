//! Control connections that are not opened, and no firewall of the path is to blame: what sockets tell, and ICMP errors that a
//! host sends itself.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::process::{Process, sh};

/// A link on which this host alone has an address.
const ALONE: &str = "
    ip link add near type veth peer name other
    ip addr add 10.9.0.1/24 dev near
    ip addr add fd09::1/64 dev near nodad
    ip link set near up
    ip link set other up";

/// A server that is not there.
const NOBODY: [&str; 2] = ["10.9.0.9:21", "[fd09::9]:21"];

/// What is said of an attempt to reach this server.
fn told(server: &str, further: &[&str]) -> (Value, Option<ErrorKind>) {
    let arguments = [&["--format", "jsonl"], further].concat();
    let watch = Process::watch(&arguments);
    let server: SocketAddr = server.parse().expect("an address");
    let failed = TcpStream::connect_timeout(&server, Duration::from_secs(9)).err().map(|error| error.kind());
    thread::sleep(Duration::from_secs(1));
    (verdict(watch), failed)
}

/// What a watch says of the control connection.
fn verdict(watch: Process) -> Value {
    let ended = watch.end();
    let session = ended.output.lines().next().unwrap_or_default();
    let session: Value = serde_json::from_str(session).unwrap_or_else(|_| panic!("{ended:?}"));
    session["control"]["diagnosis"].clone()
}

/// The server's host is down, or its address wrong: no firewall is to blame.
pub(crate) fn nobody_at_the_next_hop() {
    sh(ALONE);
    for server in NOBODY {
        let (verdict, failed) = told(server, &[]);
        assert_eq!(failed, Some(ErrorKind::HostUnreachable), "{server}");
        assert_eq!((&verdict["rule"], &verdict["side"]), (&"C2".into(), &"unknown".into()), "{verdict}");
        assert_eq!(verdict["stretch"], serde_json::json!({"from": "client", "to": "server"}), "{verdict}");
    }
}

/// The server's way back leads over a router that is not there.
pub(crate) fn nobody_on_the_way_back() {
    sh(ALONE);
    sh("mount -t tmpfs none /run; ip netns add far; ip link set other netns far; ip -n far link set other up
        ip -n far addr add 10.8.0.2/24 dev other; ip -n far route add 10.9.0.0/24 dev other
        ip route add 10.8.0.0/24 via 10.9.0.250; sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.near.rp_filter=0");
    let _server = TcpListener::bind("10.9.0.1:21").expect("the address is this host's");
    let watch = Process::watch(&["--format", "jsonl"]);
    sh("! ip netns exec far timeout 8 bash -c '</dev/tcp/10.9.0.1/21'");
    let verdict = verdict(watch);
    assert_eq!((&verdict["rule"], &verdict["side"]), (&"C5".into(), &"unknown".into()), "{verdict}");
    assert_eq!(verdict["stretch"], serde_json::json!({"from": "client", "to": "server"}), "{verdict}");
}

/// The kernel drops every SYN to a program that accepts nothing.
pub(crate) fn the_program_accepts_nothing() {
    sh(ALONE);
    sh("mount -t tmpfs none /run; ip netns add far; ip link set other netns far; ip -n far link set other up
        ip -n far addr add 10.9.0.2/24 dev other; sysctl -qw net.core.somaxconn=1");
    let _server = TcpListener::bind("10.9.0.1:21").expect("the address is this host's");
    for further in [&["--format", "jsonl"][..], &["--format", "jsonl", "--trace"]] {
        sh(
            "for wait in 1 2; do ip netns exec far bash -c 'sleep 15 </dev/tcp/10.9.0.1/21' >/dev/null 2>&1 & sleep 0.2; done",
        );
        let watch = Process::watch(further);
        sh("! ip netns exec far timeout 6 bash -c '</dev/tcp/10.9.0.1/21' 2>/dev/null");
        let verdict = verdict(watch);
        assert_eq!((&verdict["rule"], &verdict["side"]), (&"C17".into(), &"server".into()), "{verdict}");
        assert_eq!(
            (&verdict["mechanism"], &verdict["netfilter"]),
            (&"refused-by-server".into(), &Value::Null),
            "{verdict}"
        );
    }
}

/// A rule of the client's own in the same words is told apart where it is traced.
pub(crate) fn a_rule_as_if_nobody_were_there() {
    sh(ALONE);
    sh("nft -f - <<'end'
        table ip t { chain output { type filter hook output priority 0; tcp dport 21 reject with icmp host-unreachable; }; }
end");
    let (verdict, failed) = told(NOBODY[0], &[]);
    assert_eq!(failed, Some(ErrorKind::HostUnreachable));
    assert_eq!(verdict["stretch"], serde_json::json!({"from": "client", "to": "server"}), "{verdict}");
    let (verdict, _) = told(NOBODY[0], &["--trace"]);
    assert_eq!((&verdict["side"], &verdict["netfilter"]["chain"]), (&"client".into(), &"output".into()), "{verdict}");
}

/// The client's own rule drops what no interface ever shows.
pub(crate) fn the_own_output_drops_all() {
    sh(ALONE);
    sh("mount -t tmpfs none /run; ip netns add far; ip link set other netns far; ip -n far addr add 10.9.0.9/24 dev other; ip -n far link set other up
        iptables -A OUTPUT -p tcp --dport 21 -j DROP");
    for further in [&[][..], &["--trace"]] {
        let (verdict, failed) = told(NOBODY[0], further);
        assert_eq!(failed, Some(ErrorKind::TimedOut));
        assert_eq!((&verdict["rule"], &verdict["side"]), (&"C16".into(), &"client".into()), "{verdict}");
        assert_eq!(verdict["mechanism"], "never-sent", "{verdict}");
        let netfilter = &verdict["netfilter"];
        assert_eq!(
            (&netfilter["chain"], &netfilter["rule"]),
            (&"OUTPUT".into(), &"-A OUTPUT -p tcp -m tcp --dport 21 -j DROP".into()),
            "{verdict}"
        );
    }
}

/// What a NAT sends elsewhere has left, though not to where the socket looks.
pub(crate) fn the_own_output_sends_it_elsewhere() {
    sh(ALONE);
    sh("mount -t tmpfs none /run; ip netns add far; ip link set other netns far; ip -n far addr add 10.9.0.9/24 dev other; ip -n far link set other up
        nft -f - <<'end'
        table ip n { chain output { type nat hook output priority -100; tcp dport 21 dnat to 10.9.0.9:2121; }; }
end
        ip netns exec far nft -f - <<'end'
        table ip t { chain input { type filter hook input priority 0; tcp dport 2121 drop; }; }
end");
    let watch = Process::watch(&[]);
    let server: SocketAddr = NOBODY[0].parse().expect("an address");
    let failed = TcpStream::connect_timeout(&server, Duration::from_secs(9)).err().map(|error| error.kind());
    assert_eq!(failed, Some(ErrorKind::TimedOut));
    let ended = watch.end();
    assert!(ended.output.starts_with("0 sessions"), "{ended:?}");
}
