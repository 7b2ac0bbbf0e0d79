//! The rules that ask the kernel to trace the packets of FTP peers, and change nothing else.
//!
//! Read first: nft(8), "META EXPRESSIONS" (`nftrace`), "SETS" (`dynamic`, `timeout`) and "SET STATEMENT". The kernel itself
//! learns who talks FTP with whom: a packet to a control port puts its two addresses into a set, and from then on what
//! passes between them is traced: there is no time to arm anything between the 227 and the data connection's SYN. Only of a
//! listener that other addresses are to reach, the text alone tells; its SYN is traced from the second one on.

use std::fmt::Write;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::packet::Endpoint;

/// Whose packets are traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// Ports of control connections; at least one.
    pub control_ports: Vec<u16>,
    /// The server's passive range, if it is known: SYNs to it are traced even of peers whose control connection is older
    /// than the table and silent.
    pub passive_range: Option<RangeInclusive<u16>>,
}

/// Pairs of addresses that are followed at once, per IP version, and as many listeners: a scan of the whole network must not
/// cost more than some megabytes of kernel memory.
const SIZE: u32 = 65536;
/// How long a pair is followed after its last packet to a control port, and a listener: transfers may run long while that is
/// silent.
const TIMEOUT: &str = "2h";
/// SYN, SYN-ACK and RST that are traced per second: a record is a message, and a scan makes many.
const OPENINGS: u32 = 1000;
/// Segments of control connections that are traced per second, each way: a command or reply that a rule takes away must not
/// be missed, and a session of people has some dozens.
const CONTROL: u32 = 200;
/// ICMP errors that tell the path MTU, and are traced per second: there is one for each segment that is too big.
const ERRORS: u32 = 20;
/// Other segments that are traced per second: bulk data is not wanted, but a transfer that stalls is slow.
const OTHERS: u32 = 20;
/// Before and after all other chains that anybody can have.
const FIRST: i32 = i32::MIN;
const LAST: i32 = i32::MAX;

/// The table with this name as one line of nft(8) input. It lives as long as the program that loads it.
///
/// Its base chains accept everything, which in nftables ends no other chain. Frames that a chain at the ingress hook of a
/// device drops are not traced: that hook comes before, and takes a chain a device.
pub fn trace_table(name: &str, traced: &Traced) -> String {
    let mut table = format!("table inet {name} {{ flags owner; ");
    for version in [&IPV4, &IPV6] {
        let Version { pairs, listeners, address, .. } = version;
        let _ = write!(
            table,
            "set {pairs} {{ type {address} . {address}; size {SIZE}; flags dynamic,timeout; timeout {TIMEOUT}; }}; \
             set {listeners} {{ type {address} . inet_service; size {SIZE}; flags timeout; timeout {TIMEOUT}; }}; "
        );
    }
    let ports = traced.control_ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let learn = [&IPV4, &IPV6].map(|version| version.learn(&ports)).concat();
    let follow = [&IPV4, &IPV6].map(Version::follow).concat();
    let openings = "tcp flags & (syn | rst) != 0";
    let range = traced.passive_range.as_ref().map_or(String::new(), |range| {
        let (low, high) = (range.start(), range.end());
        let to = |port| format!("{openings} tcp {port} {low}-{high} goto follow; ");
        to("dport") + &to("sport")
    });
    let _ = write!(
        table,
        "chain follow {{ {openings} limit rate {OPENINGS}/second burst {OPENINGS} packets meta nftrace set 1 return; \
         tcp dport {{ {ports} }} limit rate {CONTROL}/second burst {CONTROL} packets meta nftrace set 1 return; \
         tcp sport {{ {ports} }} limit rate {CONTROL}/second burst {CONTROL} packets meta nftrace set 1 return; \
         limit rate {OTHERS}/second burst {OTHERS} packets meta nftrace set 1; }}; \
         chain learn {{ {learn}}}; chain watch {{ jump learn; {follow}{range}}}; "
    );
    let errors = ["icmp type destination-unreachable icmp code frag-needed", "icmpv6 type packet-too-big"];
    let errors = errors.map(|error| format!("{error} limit rate {ERRORS}/second meta nftrace set 1; ")).concat();
    let hooks = [
        ("prerouting", FIRST, "watch", &*errors),
        ("output", FIRST, "watch", &*errors),
        ("postrouting", LAST, "learn", ""),
    ];
    for (hook, priority, chain, others) in hooks {
        let _ = write!(
            table,
            "chain {hook} {{ type filter hook {hook} priority {priority}; policy accept; meta l4proto tcp jump {chain}; {others}}}; "
        );
    }
    table + "}"
}

/// One line of nft(8) input that has the table with this name follow a listener, whoever connects to it.
pub fn follow(name: &str, Endpoint { ip, port }: Endpoint) -> String {
    let Version { listeners, .. } = if matches!(ip, IpAddr::V4(_)) { IPV4 } else { IPV6 };
    format!("add element inet {name} {listeners} {{ {ip} . {port} }}")
}

/// How one IP version is called.
struct Version {
    pairs: &'static str,
    listeners: &'static str,
    address: &'static str,
    header: &'static str,
}

const IPV4: Version = Version { pairs: "pairs4", listeners: "listeners4", address: "ipv4_addr", header: "ip" };
const IPV6: Version = Version { pairs: "pairs6", listeners: "listeners6", address: "ipv6_addr", header: "ip6" };

impl Version {
    /// Learns client and server, as they are on this side of a translation.
    fn learn(&self, ports: &str) -> String {
        let Version { pairs, header, .. } = self;
        format!("tcp dport {{ {ports} }} update @{pairs} {{ {header} saddr . {header} daddr }}; ")
    }

    /// Marks what passes between them, or to and from a listener.
    fn follow(&self) -> String {
        let Version { pairs, listeners, header, .. } = self;
        format!(
            "{header} saddr . {header} daddr @{pairs} goto follow; {header} daddr . {header} saddr @{pairs} goto follow; \
             {header} daddr . tcp dport @{listeners} goto follow; {header} saddr . tcp sport @{listeners} goto follow; "
        )
    }
}
