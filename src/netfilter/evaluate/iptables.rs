//! Rules of iptables(8), as iptables-save(8) writes them.
//!
//! Read first: iptables(8), "PARAMETERS"; iptables-extensions(8) for `multiport`, `conntrack`, `state` and the targets.

use super::Does;
use super::packet::{Packet, Truth, is_address, is_port};
use super::words::words;
use crate::netfilter::ruleset::Table;
use crate::packet::Flags;

/// Matches whose options are all read here, or say nothing of what passes.
const MODULES: [&str; 6] = ["tcp", "udp", "comment", "multiport", "conntrack", "state"];

/// Targets after which the packet goes on.
const GOES_ON: [&str; 22] = [
    "LOG",
    "NFLOG",
    "ULOG",
    "TRACE",
    "MARK",
    "CONNMARK",
    "SECMARK",
    "CONNSECMARK",
    "CT",
    "NOTRACK",
    "TCPMSS",
    "TCPOPTSTRIP",
    "CLASSIFY",
    "TTL",
    "HL",
    "DSCP",
    "TOS",
    "ECN",
    "SET",
    "AUDIT",
    "CHECKSUM",
    "RATEEST",
];

/// Whether a rule, `-A CHAIN ...`, matches, and what it does then.
pub(super) fn read<'a>(text: &'a str, packet: &Packet, table: &Table) -> (Truth, Does<'a>) {
    let words = words(text);
    let mut rest = words.iter().copied().skip(2);
    let (mut matches, mut negated) = (Truth::Yes, false);
    while let Some(option) = rest.next() {
        match option {
            "!" => {
                negated = true;
                continue;
            }
            "-j" => return (matches, rest.next().map_or(Does::GoOn, |name| target(name, table))),
            "-g" => return (matches, rest.next().map_or(Does::Anything, Does::Goto)),
            _ => {}
        }
        let holds = condition(option, &mut rest, packet);
        matches = matches.min(if negated { !holds } else { holds });
        negated = false;
    }
    (matches, Does::GoOn)
}

/// Whether a condition holds; what is no known option is not known.
fn condition<'a>(option: &str, rest: &mut impl Iterator<Item = &'a str>, packet: &Packet) -> Truth {
    let Packet { source, destination, inbound, outbound, .. } = packet;
    let mut list = |holds: &dyn Fn(&str) -> Truth| {
        rest.next().map_or(Truth::Unknown, |value| Truth::any(value.split(',').map(holds)))
    };
    let is_source = |port: &str| is_port(source.port, port, ':');
    let is_destination = |port: &str| is_port(destination.port, port, ':');
    match option {
        "-s" => list(&|address| is_address(source.ip, address)),
        "-d" => list(&|address| is_address(destination.ip, address)),
        "-i" => list(&|name| inbound.is(name, '+')),
        "-o" => list(&|name| outbound.is(name, '+')),
        "-p" => list(&|protocol| Truth::from(matches!(protocol, "tcp" | "6" | "all" | "0"))),
        "-m" => list(&|module| if MODULES.contains(&module) { Truth::Yes } else { Truth::Unknown }),
        "--sport" | "--sports" => list(&is_source),
        "--dport" | "--dports" => list(&is_destination),
        "--ports" => list(&|port| is_source(port).max(is_destination(port))),
        "--ctstate" | "--state" => rest.next().map_or(Truth::Unknown, |states| packet.has_state(states.split(','))),
        "--comment" => rest.next().map_or(Truth::Unknown, |_| Truth::Yes),
        "--syn" => packet.has_flags((Flags::FIN | Flags::SYN | Flags::RST | Flags::ACK).0, Flags::SYN.0),
        "--tcp-flags" => {
            let (mask, value) = (rest.next().and_then(flags), rest.next().and_then(flags));
            mask.zip(value).map_or(Truth::Unknown, |(mask, value)| packet.has_flags(mask, value))
        }
        _ => Truth::Unknown,
    }
}

/// Reads `SYN,ACK`.
fn flags(list: &str) -> Option<u8> {
    list.split(',').try_fold(0, |flags, name| {
        let bit = match name {
            "FIN" => 1,
            "SYN" => 2,
            "RST" => 4,
            "PSH" => 8,
            "ACK" => 16,
            "URG" => 32,
            "ALL" => 63,
            "NONE" => 0,
            _ => return None,
        };
        Some(flags | bit)
    })
}

fn target<'a>(name: &'a str, table: &Table) -> Does<'a> {
    match name {
        "ACCEPT" => Does::Accept,
        "DROP" | "REJECT" => Does::Drop,
        "RETURN" => Does::Return,
        "DNAT" | "REDIRECT" | "NETMAP" => Does::Destination,
        "SNAT" | "MASQUERADE" => Does::Source,
        _ if GOES_ON.contains(&name) => Does::GoOn,
        _ if table.chain(name).is_some() => Does::Jump(name),
        _ => Does::Anything,
    }
}
