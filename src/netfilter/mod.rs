//! Floor 2: what Linux netfilter says about itself, read and put together.
//!
//! [`trace`] reads which rule dropped a packet, [`log`] the same of the older iptables, [`ruleset`] knows the text and the
//! position of every rule, [`evaluate`] what they may do with a packet, [`table`] writes the rules that ask for the trace,
//! [`conntrack`] reads which connections the kernel follows and expects, [`socket`] what became of the sockets of this host,
//! [`snapshot`] all of it in one text, and [`netlink`] takes the kernel's messages apart. Words are those of nft(8),
//! iptables(8) and `linux/netfilter/nf_tables.h`; read nft(8), "CHAINS" and "MONITOR" first.

use std::fmt;

use crate::cite::Time;
use crate::language::{Text, say};
use crate::packet::{Endpoint, Flags};

pub mod conntrack;
pub mod evaluate;
mod headers;
pub mod log;
pub mod netlink;
pub mod ruleset;
pub mod snapshot;
pub mod socket;
pub mod table;
pub mod trace;

/// The program that loaded a rule, and that changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tool {
    /// nft(8).
    Nft,
    /// iptables(8) or ip6tables(8) that write nf_tables rules.
    IptablesNft,
    /// iptables(8) or ip6tables(8) of the older kind, with tables of their own in the kernel.
    IptablesLegacy,
}

/// The family of a table (nft(8), "ADDRESS FAMILIES").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// IPv4 and IPv6.
    Inet,
    /// ARP.
    Arp,
    /// Frames that a bridge handles.
    Bridge,
    /// Frames of one network device.
    Netdev,
}

/// All families, each with its name and its number (`NFPROTO_*` in `linux/netfilter.h`).
const FAMILIES: [(Family, &str, u8); 6] = [
    (Family::Inet, "inet", 1),
    (Family::Ip, "ip", 2),
    (Family::Arp, "arp", 3),
    (Family::Netdev, "netdev", 5),
    (Family::Bridge, "bridge", 7),
    (Family::Ip6, "ip6", 10),
];

impl Family {
    /// The family with this `NFPROTO_*` number.
    pub fn of_number(number: u8) -> Option<Family> {
        FAMILIES.iter().find(|row| row.2 == number).map(|row| row.0)
    }

    /// The family with this name in nft(8).
    pub fn of_name(name: &str) -> Option<Family> {
        FAMILIES.iter().find(|row| row.1 == name).map(|row| row.0)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FAMILIES.iter().find(|row| row.0 == *self).map_or("", |row| row.1))
    }
}

/// Where on its way through the host a packet meets a base chain (nft(8), "ADDRESS FAMILIES").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// As it comes from the device.
    Ingress,
    /// Before the routing decision.
    Prerouting,
    /// On its way to a program of this host.
    Input,
    /// On its way through this host.
    Forward,
    /// As a program of this host sends it.
    Output,
    /// Before it leaves.
    Postrouting,
    /// As it goes to the device.
    Egress,
}

/// All hooks with their names in nft(8).
const HOOKS: [(Hook, &str); 7] = [
    (Hook::Ingress, "ingress"),
    (Hook::Prerouting, "prerouting"),
    (Hook::Input, "input"),
    (Hook::Forward, "forward"),
    (Hook::Output, "output"),
    (Hook::Postrouting, "postrouting"),
    (Hook::Egress, "egress"),
];

impl Hook {
    /// The hook with this name in nft(8), or of the built-in chain of iptables(8) with this name.
    pub fn of_name(name: &str) -> Option<Hook> {
        HOOKS.iter().find(|row| row.1.eq_ignore_ascii_case(name)).map(|row| row.0)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HOOKS.iter().find(|row| row.0 == *self).map_or("", |row| row.1))
    }
}

/// A rule, or the policy of a base chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The program to change it with.
    pub tool: Tool,
    /// Family of its table.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// The chain through which the packet came in: `chain` itself unless that one was jumped to.
    pub base_chain: String,
    /// The hook of the base chain, where a ruleset tells.
    pub hook: Option<Hook>,
    /// Handle in nf_tables; none for a policy and for the older iptables.
    pub handle: Option<u64>,
    /// Position in its chain, from 1, as `iptables -I CHAIN N` counts; none for a policy, and where no ruleset tells.
    pub position: Option<u32>,
    /// As its tool lists it, without the values of counters; empty where no ruleset tells. A policy reads `policy drop`,
    /// or `-P INPUT DROP`.
    pub text: String,
}

impl Rule {
    /// Where it stands, for people: `rule 4 of the chain INPUT (iptables, table filter)`.
    pub fn place(&self) -> Text {
        let (chain, table) = (&self.chain, &self.table);
        let (tool, table) = match self.tool {
            Tool::Nft => ("nft".to_owned(), format!("{} {table}", self.family)),
            Tool::IptablesNft => (self.program().to_owned(), table.clone()),
            Tool::IptablesLegacy => (format!("{}-legacy", self.program()), table.clone()),
        };
        match (self.position, self.handle) {
            (Some(position), _) => {
                say!("rule {position} of the chain {chain} ({tool}, table {table})", position, chain, tool, table)
            }
            (None, Some(handle)) => {
                say!(
                    "the rule with handle {handle} of the chain {chain} ({tool}, table {table})",
                    handle,
                    chain,
                    tool,
                    table
                )
            }
            (None, None) => say!("the policy of the chain {chain} ({tool}, table {table})", chain, tool, table),
        }
    }

    /// Where it stands, and its text.
    pub fn words(&self) -> Text {
        let (place, rule) = (self.place(), &self.text);
        if rule.is_empty() { place } else { say!("{place}, `{rule}`,", place, rule) }
    }

    fn program(&self) -> &'static str {
        if self.family == Family::Ip6 { "ip6tables" } else { "iptables" }
    }

    /// Whether it answers the packet that it drops (`reject`, `-j REJECT`).
    pub fn rejects(&self) -> bool {
        let is_reject = |word: &str| word == "reject" || word == "REJECT";
        ruleset::words(&self.text).any(is_reject)
    }
}

/// What says that a rule dropped a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Witness {
    /// The kernel's trace of this very packet.
    Trace,
    /// The rule's counter, which moved meanwhile.
    Counter,
    /// The rules as they stand, which would drop it.
    Ruleset,
}

/// What a packet is of which netfilter tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A TCP segment.
    Segment {
        /// Control bits.
        flags: Flags,
        /// Sequence number.
        seq: u32,
    },
    /// An ICMP error that tells the path MTU: a segment was too big (RFC 1191, RFC 8201). Its ends have no port: 0.
    TooBig,
}

/// A packet that this host's netfilter dropped. A rule that rejects drops, too, whatever it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// When it was known here.
    pub time: Time,
    /// Sender as it came to this host, before any translation; of the older iptables: as it was when it was dropped.
    pub source: Endpoint,
    /// Receiver, likewise.
    pub destination: Endpoint,
    /// Sender and receiver as they were when it was dropped, if an address or a port was translated on the way.
    pub translated: Option<(Endpoint, Endpoint)>,
    /// What it is.
    pub kind: Kind,
    /// Index of the interface through which it came in.
    pub inbound: Option<u32>,
    /// Index of the interface through which it was to leave.
    pub outbound: Option<u32>,
    /// What dropped it.
    pub rule: Rule,
    /// How that is known.
    pub from: Witness,
}
