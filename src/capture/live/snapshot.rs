//! Asks this host for all that a snapshot tells.
//!
//! What a snapshot is, and what is left out of it, is [`crate::netfilter::snapshot`]'s business. Nothing but what stands here
//! is looked at. It needs root for all of it; without, what cannot be had is said.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use super::conntrack::{is_there, list};
use super::interfaces;
use super::keeper::{Request, hand_on_rights, listed, output};
use super::sockets::{MOST as MOST_SOCKETS, Sockets};
use crate::cite::Time;
use crate::netfilter::Tool;
use crate::netfilter::conntrack::{Event, Tracked};
use crate::netfilter::snapshot::lines::{connection_line, expectation_line, socket_line};
use crate::netfilter::snapshot::{
    CONNECTIONS, DATE, EXPECTATIONS, INTERFACES, NFT, SAVED, SETTINGS, SOCKETS, Text, date_line, masked,
};
use crate::netfilter::socket::{State, Wanted};

/// Settings that can decide over a data connection; those with `*` are there for each interface.
const SETTINGS_READ: [&str; 17] = [
    "net.core.somaxconn",
    "net.ipv4.conf.*.forwarding",
    "net.ipv4.conf.*.rp_filter",
    "net.ipv4.ip_forward",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_ecn",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_mtu_probing",
    "net.ipv4.tcp_syncookies",
    "net.ipv6.conf.*.forwarding",
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_conntrack_helper",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_be_liberal",
    "net.netfilter.nf_conntrack_tcp_loose",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_tcp_timeout_syn_sent",
];

/// Versions, routes and modules: the part's name, the program with its package and arguments, and what it tells.
const PROGRAMS: [(&str, &str, &[&str], &str); 5] = [
    ("nft", "nftables", &["--version"], "which nft made the list"),
    ("iptables-nft-save", "iptables", &["--version"], "which iptables made the lists"),
    ("iptables-legacy-save", "iptables", &["--version"], "which older iptables made the lists"),
    ("ip", "iproute2", &["-4", "route", "show"], "through which interface a packet leaves"),
    ("ip", "iproute2", &["-6", "route", "show"], "through which interface an IPv6 packet leaves"),
];

/// Connections that are listed at most.
const MOST: usize = 1 << 16;

/// A snapshot of this host at `now`, which is `date` for people, and a line for each part that cannot be had.
pub fn snapshot(now: Time, date: &str, control_ports: &[u16]) -> (String, Vec<String>) {
    hand_on_rights();
    // these change by the second: first, whatever the programs take
    let (sockets, connections) = (sockets(), connections(now, control_ports));
    let mut parts = Parts { text: Text::default(), absent: Vec::new() };
    parts.add(DATE, Ok(format!("{} {date}", date_line(now))));
    parts.add("cat /proc/sys/kernel/osrelease", fs::read_to_string("/proc/sys/kernel/osrelease").map_err(words));
    parts.add(INTERFACES, addresses());
    parts.add(SETTINGS, Ok(settings()));
    parts.add("ls -d /sys/module/nf_*_ftp", Ok(helpers()));
    for (program, package, arguments, told) in PROGRAMS {
        let command = [&[program], arguments].concat().join(" ");
        parts.add(&command, output(program, package, arguments, told));
    }
    parts.add(NFT, listed(Request::Nft).map(|text| masked(&text, Tool::Nft)));
    let saved = [Request::IptablesNft, Request::Ip6tablesNft, Request::IptablesLegacy, Request::Ip6tablesLegacy];
    for (request, (command, _, tool)) in saved.into_iter().zip(SAVED) {
        parts.add(command, listed(request).map(|text| masked(&text, tool)));
    }
    parts.add(CONNECTIONS, connections.as_ref().map(|found| found.0.clone()).map_err(Clone::clone));
    parts.add(EXPECTATIONS, connections.map(|found| found.1));
    parts.add(SOCKETS, sockets);
    (parts.text.finish(), parts.absent)
}

struct Parts {
    text: Text,
    absent: Vec<String>,
}

impl Parts {
    fn add(&mut self, command: &str, content: Result<String, String>) {
        self.text.add(command, content.as_deref().map_err(String::as_str));
        self.absent.extend(content.err().filter(|why| self.absent.last() != Some(why)));
    }
}

fn words(error: io::Error) -> String {
    error.to_string()
}

fn joined(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

fn addresses() -> Result<String, String> {
    let interfaces = interfaces().map_err(|why| format!("{why}; they would tell where this host stands"))?;
    Ok(joined(interfaces.iter().map(ToString::to_string)))
}

/// Those of the settings that this kernel has.
fn settings() -> String {
    let lines = SETTINGS_READ.into_iter().flat_map(|name| match name.split_once(".*.") {
        Some((folder, name)) => each_interface(folder, name),
        None => vec![name.to_owned()],
    });
    joined(lines.filter_map(|name| {
        let path = Path::new("/proc/sys").join(name.replace('.', "/").replace("//", "."));
        let value = fs::read_to_string(path).ok()?;
        Some(format!("{} = {}", name.replace("..", "/"), value.split_whitespace().collect::<Vec<_>>().join(" ")))
    }))
}

/// The names of a setting of each interface. A dot within the name of one stands twice.
fn each_interface(folder: &str, name: &str) -> Vec<String> {
    let path = Path::new("/proc/sys").join(folder.replace('.', "/"));
    let interfaces = fs::read_dir(path).into_iter().flatten().flatten();
    let names = interfaces.filter_map(|entry| Some(entry.file_name().to_str()?.replace('.', "..")));
    let mut names: Vec<String> = names.map(|interface| format!("{folder}.{interface}.{name}")).collect();
    names.sort();
    names
}

/// The helpers that the kernel has loaded; that alone does not make them read anything.
fn helpers() -> String {
    let paths = ["nf_conntrack_ftp", "nf_nat_ftp"].map(|name| format!("/sys/module/{name}"));
    joined(paths.into_iter().filter(|path| Path::new(path).exists()))
}

/// Connections and expectations of hosts that speak FTP.
fn connections(now: Time, control_ports: &[u16]) -> Result<(String, String), String> {
    const TOLD: &str = "they would tell what has passed the rules of this host";
    if !is_there() {
        return Ok(Default::default());
    }
    let failed = |why: io::Error| format!("the kernel does not list its connections: {why}; {TOLD}");
    let mut peers = HashSet::new();
    list(now, |event| match event {
        Event::Tracked(tracked) if tracked.has_port(control_ports) => peers.extend(tracked.pairs()),
        _ => {}
    })
    .map_err(failed)?;
    let (mut connections, mut expectations) = (Vec::new(), Vec::new());
    let is_of_peers = |tracked: &Tracked| tracked.pairs().iter().any(|pair| peers.contains(pair));
    list(now, |event| match event {
        Event::Tracked(tracked) if is_of_peers(&tracked) => connections.push(connection_line(&tracked)),
        Event::Tracked(_) => {}
        Event::Expected(expected) => expectations.push(expectation_line(&expected)),
    })
    .map_err(failed)?;
    match connections.len() <= MOST {
        true => Ok((connections.join("\n"), expectations.join("\n"))),
        false => Err(format!("{} connections of FTP peers are too many; {TOLD}", connections.len())),
    }
}

fn sockets() -> Result<String, String> {
    let states = [State::Listen, State::SynSent, State::SynRecv];
    let wanted = Wanted { states: &states, local_port: None, remote_port: None };
    let sockets = Sockets::open().and_then(|mut sockets| sockets.list(&wanted));
    let sockets =
        sockets.map_err(|why| format!("the kernel does not list sockets: {why}; they would tell what listens"))?;
    if sockets.len() >= MOST_SOCKETS {
        return Err(format!("there are more than {MOST_SOCKETS} sockets; they would tell what listens"));
    }
    Ok(joined(sockets.iter().map(socket_line)))
}
