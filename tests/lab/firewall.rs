//! A box's ruleset, in the syntax of the tool that loads it.

use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use ftpwhy::verdict::Lost;

use crate::host::{Fallible, Host};
use crate::trial::CHATTER;

/// What loads rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// nft(8).
    Nft,
    /// iptables-nft-restore(8), or its IPv6 twin.
    IptablesNft,
    /// iptables-legacy-restore(8), or its IPv6 twin.
    IptablesLegacy,
}

/// The comment of the rule that is to blame: its counter must move.
pub(crate) const BLAMED: &str = "blamed";

impl Tool {
    /// Its commands begin with this.
    fn prefix(self, v6: bool) -> &'static str {
        match (self, v6) {
            (Tool::Nft, _) => "nft",
            (Tool::IptablesNft, false) => "iptables-nft",
            (Tool::IptablesNft, true) => "ip6tables-nft",
            (Tool::IptablesLegacy, false) => "iptables-legacy",
            (Tool::IptablesLegacy, true) => "ip6tables-legacy",
        }
    }

    /// Loads rules: whole tables, or for nft the chains of `table inet filter`, or for iptables the rules of its filter
    /// table.
    pub(crate) fn load(self, host: &Host, rules: &str, v6: bool) -> Fallible<()> {
        // nft wants a line end before a closing brace.
        let rules = rules.replace("; }", ";\n}").replace("} }", "}\n}");
        let is_whole = rules.starts_with("table") || rules.starts_with('*');
        let (command, text) = match (self, is_whole) {
            (Tool::Nft, true) => ("nft -f -".to_owned(), rules),
            (Tool::Nft, false) => ("nft -f -".to_owned(), format!("table inet filter {{\n{rules}\n}}\n")),
            (_, true) => (format!("{}-restore -w", self.prefix(v6)), format!("{rules}\n")),
            (_, false) => (format!("{}-restore -w", self.prefix(v6)), format!("*filter\n{rules}\nCOMMIT\n")),
        };
        host.run_with(&command, &text).map(drop).map_err(|error| format!("on {}: {error}\n{text}", host.name))
    }

    /// All rules that are loaded, with their counters.
    pub(crate) fn dump(self, host: &Host, v6: bool) -> Fallible<String> {
        match self {
            Tool::Nft => host.run("nft list ruleset"),
            _ => {
                let dump = host.run(&format!("{}-save -c", self.prefix(v6)))?;
                Ok(dump.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect())
            }
        }
    }
}

/// The rule to blame in a dump and what it counted, if there is one.
pub(crate) fn blamed(dump: &str) -> Option<(u64, String)> {
    let rule = dump.lines().find(|line| line.contains(BLAMED))?.trim();
    let digits = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
    let packets = match rule.strip_prefix('[') {
        Some(counters) => digits(counters),
        None => rule.split("packets ").nth(1).and_then(digits),
    };
    Some((packets?, rule.to_owned()))
}

/// nft(8) that tells the way of some packets through a host's rules, also through those of iptables-nft(8). A policy has no
/// counter: there this is the proof.
#[derive(Debug)]
pub(crate) struct Trace<'a> {
    host: &'a Host,
    nft: Child,
}

const TRACE: &str = "/run/trace";

impl<'a> Trace<'a> {
    /// Traces handshake packets of one kind, from before every other rule on.
    pub(crate) fn start(host: &'a Host, lost: Lost, port: u16) -> Fallible<Trace<'a>> {
        let (flags, which) = match lost {
            Lost::ControlSyn => ("syn", format!("tcp dport {port}")),
            Lost::ControlSynAck => ("syn|ack", format!("tcp sport {port}")),
            Lost::DataSynAck => ("syn|ack", format!("tcp sport != {{ {port}, {CHATTER} }}")),
            _ => ("syn", format!("tcp dport != {{ {port}, {CHATTER} }}")),
        };
        let chain = |hook: &str| {
            format!(
                "chain {hook} {{\ntype filter hook {hook} priority -350;\n\
                 tcp flags & (fin|syn|rst|ack) == {flags} {which} meta nftrace set 1\n}}\n"
            )
        };
        let table = format!("table inet trace {{\n{}{}}}\n", chain("prerouting"), chain("output"));
        host.run_with("nft -f -", &table)?;
        let output = fs::File::create(host.path(TRACE)).map_err(|error| error.to_string())?;
        let nft = host.command("nft").args(["monitor", "trace"]).stdin(Stdio::null()).stdout(output).spawn();
        let trace = Trace { host, nft: nft.map_err(|error| error.to_string())? };
        // It says nothing when it has begun to listen, but the kernel knows.
        while !trace.host.run("cat /proc/net/netlink")?.lines().any(is_tracing) {
            thread::sleep(Duration::from_millis(20));
        }
        Ok(trace)
    }

    /// Ends it; what it told.
    pub(crate) fn stop(mut self) -> Fallible<String> {
        // Not the one that holds a table for `ftpwhy watch`.
        self.host.run("pkill -TERM -f '^nft monitor' || true")?;
        self.nft.wait().map_err(|error| error.to_string())?;
        fs::read_to_string(self.host.path(TRACE)).map_err(|error| error.to_string())
    }
}

/// A line of /proc/net/netlink: a socket of NETLINK_NETFILTER that is in the group of traces.
fn is_tracing(line: &str) -> bool {
    const NETFILTER: &str = "12";
    const GROUP: u32 = 1 << 8; // NFNLGRP_NFTRACE is 9
    let fields: Vec<&str> = line.split_whitespace().collect();
    fields.get(1) == Some(&NETFILTER)
        && fields.get(3).and_then(|groups| u32::from_str_radix(groups, 16).ok()).is_some_and(|it| it & GROUP != 0)
}

/// Where a trace ends in a drop: the rule or policy.
pub(crate) fn dropped(trace: &str) -> Option<&str> {
    let line =
        trace.lines().map(str::trim).find(|line| line.ends_with("(verdict drop)") || line.ends_with("policy drop"))?;
    line.splitn(4, ' ').nth(3)
}
