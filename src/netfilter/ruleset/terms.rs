//! What a rule asks of a packet, as far as its obvious terms go: protocol, addresses, ports, interfaces, state.
//!
//! Read first: nft(8), "PAYLOAD EXPRESSIONS"; iptables(8); iptables-extensions(8), "tcp", "multiport" and "conntrack". Anything
//! else makes a rule one that nobody knows: it may match or not, and nothing is built on it.

use std::net::IpAddr;

use super::words;
use crate::packet::Flags;

/// A TCP segment that opens a connection, as the rules of one host see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe<'a> {
    /// Sender and receiver; none where a rule of this host may have changed them.
    pub addresses: Option<(IpAddr, IpAddr)>,
    /// Whether it is IPv6.
    pub v6: bool,
    /// Sender's port, if it is known.
    pub source_port: Option<u16>,
    /// Receiver's port, if it is known.
    pub destination_port: Option<u16>,
    /// SYN, or SYN with ACK.
    pub flags: Flags,
    /// A helper may have announced it, so that it is `related`.
    pub may_be_related: bool,
    /// The interface through which it comes in.
    pub inbound: Through<'a>,
    /// The interface through which it leaves.
    pub outbound: Through<'a>,
}

/// A way in or out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through<'a> {
    /// This interface.
    Interface(&'a str),
    /// Some interface, but not the loopback.
    Outside,
    /// It does not: it ends or begins here.
    None,
}

/// What becomes of a packet that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is dropped, or rejected.
    Drops,
    /// It has passed the base chain.
    Accepts,
    /// It goes back to the rule that jumped here.
    Returns,
    /// It goes on to the next rule.
    GoesOn,
    /// It goes through another chain, and comes back.
    Jumps,
    /// It goes through another chain for good.
    Goes,
    /// Nobody knows: a map, a queue, a target of an extension.
    Unknown,
}

/// Targets of iptables-extensions(8) after which a packet goes on to the next rule.
const TARGETS: [&str; 22] = [
    "AUDIT",
    "CHECKSUM",
    "CLASSIFY",
    "CONNMARK",
    "CONNSECMARK",
    "CT",
    "DSCP",
    "ECN",
    "HL",
    "HMARK",
    "LED",
    "LOG",
    "MARK",
    "NFLOG",
    "NOTRACK",
    "RATEEST",
    "SECMARK",
    "SET",
    "TCPMSS",
    "TOS",
    "TRACE",
    "TTL",
];
/// Targets that translate addresses; the packet has passed the chain then.
const TRANSLATIONS: [&str; 5] = ["DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP"];

fn is_iptables(rule: &str) -> bool {
    rule.starts_with("-A ")
}

/// The word after the first of these.
fn after<'a>(rule: &'a str, heads: &[&str]) -> Option<&'a str> {
    words(rule).skip_while(|word| !heads.contains(word)).nth(1)
}

/// The chain that a rule leads to; or a target of an extension.
pub fn leads_to(rule: &str) -> Option<&str> {
    match is_iptables(rule) {
        true => after(rule, &["-j", "-g"]),
        false => after(rule, &["jump", "goto"]).filter(|&name| name != "{"),
    }
}

/// What becomes of a packet that this rule matches. A target of iptables that is not known may be a chain.
pub fn ending(rule: &str) -> Ending {
    if is_iptables(rule) {
        let goes = words(rule).any(|word| word == "-g");
        return match leads_to(rule) {
            None => Ending::GoesOn,
            Some(_) if goes => Ending::Goes,
            Some("DROP" | "REJECT") => Ending::Drops,
            Some("ACCEPT") => Ending::Accepts,
            Some("RETURN") => Ending::Returns,
            Some(target) if TRANSLATIONS.contains(&target) => Ending::Accepts,
            Some(target) if TARGETS.contains(&target) => Ending::GoesOn,
            Some(_) => Ending::Jumps,
        };
    }
    let is_block = words(rule).zip(words(rule).skip(1)).any(|pair| matches!(pair, ("jump" | "goto", "{")));
    let mut verdicts = words(rule).filter_map(verdict);
    match (verdicts.next(), verdicts.next()) {
        (None, _) => Ending::GoesOn,
        (Some(ending), None) if !is_block => ending,
        (Some(_), _) => Ending::Unknown,
    }
}

/// What a word of an nft rule does with a packet; none if it is no statement that ends a rule.
fn verdict(word: &str) -> Option<Ending> {
    Some(match word {
        "drop" | "reject" => Ending::Drops,
        "accept" | "dnat" | "snat" | "masquerade" | "redirect" => Ending::Accepts,
        "return" => Ending::Returns,
        "jump" => Ending::Jumps,
        "goto" => Ending::Goes,
        "vmap" | "queue" | "xt" | "synproxy" | "tproxy" | "fwd" => Ending::Unknown,
        _ => return None,
    })
}

/// Whether a rule changes addresses or ports of what it matches before other chains see it: of receivers, or of senders
/// too, which shows in the answers.
pub fn translates(rule: &str, senders: bool) -> bool {
    words(rule).any(|word| match word {
        "dnat" | "redirect" | "tproxy" | "DNAT" | "REDIRECT" | "TPROXY" | "NETMAP" => true,
        "snat" | "masquerade" | "SNAT" | "MASQUERADE" => senders,
        _ => false,
    })
}

/// What a term is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    Protocol,
    Version,
    Source,
    Destination,
    SourcePort,
    DestinationPort,
    EitherPort,
    Inbound,
    Outbound,
    State,
}

/// Options of iptables(8) and its extensions that have one value.
const OPTIONS: [(&str, Term); 12] = [
    ("-p", Term::Protocol),
    ("-s", Term::Source),
    ("-d", Term::Destination),
    ("-i", Term::Inbound),
    ("-o", Term::Outbound),
    ("--sport", Term::SourcePort),
    ("--dport", Term::DestinationPort),
    ("--sports", Term::SourcePort),
    ("--dports", Term::DestinationPort),
    ("--ports", Term::EitherPort),
    ("--state", Term::State),
    ("--ctstate", Term::State),
];

/// Whether a rule matches a packet; none where its terms do not tell.
pub fn matches(rule: &str, probe: &Probe<'_>) -> Option<bool> {
    if is_iptables(rule) { iptables(rule, probe) } else { nft(rule, probe) }
}

/// All terms have to hold; one that does not is enough.
fn all_of(known: Option<bool>, term: Option<bool>) -> Option<bool> {
    match (known, term) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        (_, _) => None,
    }
}

/// One of several values has to be that of the packet.
fn any_of(mut values: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = true;
    let has_it = values.any(|value| {
        known &= value.is_some();
        value == Some(true)
    });
    if has_it { Some(true) } else { known.then_some(false) }
}

fn iptables(rule: &str, probe: &Probe<'_>) -> Option<bool> {
    let mut tokens = tokens(rule).skip(2).peekable();
    let mut holds = Some(true);
    let mut is_negated = false;
    while let Some(token) = tokens.next() {
        let mut values = || tokens.next_if(|token| !token.starts_with('-') && *token != "!");
        let term = match OPTIONS.iter().find(|row| row.0 == token) {
            Some(&(_, term)) => values().and_then(|value| probe.is_one_of(term, value.split(','))),
            None => match token {
                "!" => {
                    is_negated = true;
                    continue;
                }
                "-j" | "-g" => return holds,
                "-m" | "--comment" => values().map(|_| true),
                "--tcp-flags" => values().zip(values()).and_then(|(mask, set)| tcp_flags(mask, set, probe.flags)),
                _ => {
                    while values().is_some() {}
                    None
                }
            },
        };
        holds = all_of(holds, if is_negated { term.map(|term| !term) } else { term });
        is_negated = false;
    }
    holds
}

/// `--tcp-flags FIN,SYN,RST,ACK SYN`.
fn tcp_flags(mask: &str, set: &str, flags: Flags) -> Option<bool> {
    const NAMES: [(&str, u8); 7] =
        [("FIN", 1), ("SYN", 2), ("RST", 4), ("PSH", 8), ("ACK", 16), ("URG", 32), ("NONE", 0)];
    let bit = |name: &str| NAMES.iter().find(|row| row.0 == name).map(|row| row.1);
    let bits = |names: &str| names.split(',').try_fold(0, |bits, name| Some(bits | bit(name)?));
    Some(flags.0 & bits(mask)? == bits(set)?)
}

fn nft(rule: &str, probe: &Probe<'_>) -> Option<bool> {
    const VERDICTS: [&str; 8] = ["drop", "reject", "accept", "jump", "goto", "return", "continue", "queue"];
    let mut tokens = tokens(rule).peekable();
    let mut holds = Some(true);
    while let Some(token) = tokens.next() {
        if VERDICTS.contains(&token) {
            return holds;
        }
        let term = match token {
            "counter" => continue,
            "comment" => {
                tokens.next();
                continue;
            }
            "log" => {
                skip_log(&mut tokens);
                continue;
            }
            "udp" | "icmp" | "icmpv6" | "sctp" | "dccp" | "udplite" | "esp" | "ah" => return Some(false),
            "ip" | "ip6" if (token == "ip6") != probe.v6 => return Some(false),
            "iif" | "iifname" => Some(Term::Inbound),
            "oif" | "oifname" => Some(Term::Outbound),
            "ip" | "ip6" | "tcp" | "th" | "meta" | "ct" => tokens.next().and_then(|field| of_field(token, field)),
            _ => None,
        };
        let Some(term) = term else { return all_of(holds, None) };
        let is_negated = tokens.next_if_eq(&"!=").is_some();
        tokens.next_if_eq(&"==");
        let values: Vec<&str> = match tokens.next_if_eq(&"{") {
            Some(_) => tokens.by_ref().take_while(|token| *token != "}").collect(),
            None => tokens.next().into_iter().collect(),
        };
        let values = values.iter().flat_map(|value| value.trim_end_matches(',').split(','));
        let held = probe.is_one_of(term, values);
        holds = all_of(holds, if is_negated { held.map(|held| !held) } else { held });
    }
    holds
}

/// What a field of a header, of the packet or of its connection is about.
fn of_field(head: &str, field: &str) -> Option<Term> {
    match (head, field) {
        ("ip" | "ip6", "saddr") => Some(Term::Source),
        ("ip" | "ip6", "daddr") => Some(Term::Destination),
        ("ip", "protocol") | ("ip6", "nexthdr") | ("meta", "l4proto") => Some(Term::Protocol),
        ("tcp" | "th", "sport") => Some(Term::SourcePort),
        ("tcp" | "th", "dport") => Some(Term::DestinationPort),
        ("meta", "nfproto") => Some(Term::Version),
        ("ct", "state") => Some(Term::State),
        _ => None,
    }
}

/// What is to be logged, and how.
fn skip_log<'a>(tokens: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>) {
    while tokens.next_if(|token| matches!(*token, "prefix" | "level" | "group" | "snaplen" | "flags")).is_some() {
        tokens.next();
    }
}

/// The words of a rule; what is in quotes is part of a word.
fn tokens(rule: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let tokens = rule.split(move |c: char| {
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        c.is_ascii_whitespace() && !quoted
    });
    tokens.filter(|token| !token.is_empty())
}

impl Probe<'_> {
    /// Whether the packet has one of these values.
    fn is_one_of<'v>(&self, term: Term, values: impl Iterator<Item = &'v str>) -> Option<bool> {
        any_of(values.map(|value| self.has(term, value)))
    }

    fn has(&self, term: Term, value: &str) -> Option<bool> {
        let ports = [self.source_port, self.destination_port];
        let is_port = |port: Option<u16>| Some(range(value)?.contains(&port?));
        match term {
            Term::Protocol => protocol(value),
            Term::Version => Some(value == if self.v6 { "ipv6" } else { "ipv4" }),
            Term::Source => is_in(self.addresses?.0, value),
            Term::Destination => is_in(self.addresses?.1, value),
            Term::SourcePort => is_port(ports[0]),
            Term::DestinationPort => is_port(ports[1]),
            Term::EitherPort => any_of(ports.into_iter().map(is_port)),
            Term::Inbound => self.inbound.is(value.trim_matches('"')),
            Term::Outbound => self.outbound.is(value.trim_matches('"')),
            Term::State => self.is_in_state(value),
        }
    }

    /// What conntrack(8) makes of a SYN and of its answer. One that it calls invalid may be one that it has no room for.
    fn is_in_state(&self, state: &str) -> Option<bool> {
        match (state, self.flags.ack()) {
            ("new" | "NEW", is_answer) => Some(!is_answer).filter(|_| !self.may_be_related),
            ("established" | "ESTABLISHED", is_answer) => Some(is_answer),
            ("related" | "RELATED", is_answer) => Some(false).filter(|_| is_answer || !self.may_be_related),
            (_, _) => None,
        }
    }
}

impl Through<'_> {
    fn is(self, name: &str) -> Option<bool> {
        let stem = name.strip_suffix(['*', '+']);
        match self {
            Through::Interface(own) => Some(stem.map_or(own == name, |stem| own.starts_with(stem))),
            Through::Outside => Some(false).filter(|_| name == "lo"),
            Through::None => Some(false),
        }
    }
}

fn protocol(name: &str) -> Option<bool> {
    const OTHERS: [&str; 12] =
        ["udp", "icmp", "icmpv6", "ipv6-icmp", "sctp", "dccp", "udplite", "esp", "ah", "gre", "igmp", "vrrp"];
    match name {
        "tcp" | "6" => Some(true),
        _ => Some(false).filter(|_| OTHERS.contains(&name)),
    }
}

/// Reads `21`, `50000-50100` and `50000:50100`.
fn range(ports: &str) -> Option<std::ops::RangeInclusive<u16>> {
    let (low, high) = ports.split_once(['-', ':']).unwrap_or((ports, ports));
    Some(low.parse().ok()?..=high.parse().ok()?)
}

/// Whether an address is `10.0.0.1`, in `10.0.0.0/8`, or in `10.0.0.1-10.0.0.9`.
fn is_in(address: IpAddr, network: &str) -> Option<bool> {
    if let Some((low, high)) = network.split_once('-') {
        let (low, high): (IpAddr, IpAddr) = (low.parse().ok()?, high.parse().ok()?);
        return Some((low..=high).contains(&address));
    }
    let (base, length) = network.split_once('/').map_or((network, None), |(base, length)| (base, Some(length)));
    let base: IpAddr = base.parse().ok()?;
    let (own, base, bits) = match (address, base) {
        (IpAddr::V4(own), IpAddr::V4(base)) => (u128::from(own.to_bits()), u128::from(base.to_bits()), 32),
        (IpAddr::V6(own), IpAddr::V6(base)) => (own.to_bits(), base.to_bits(), 128),
        (_, _) => return Some(false),
    };
    let length = length.map_or(Some(bits), |length| length.parse().ok().filter(|length| *length <= bits))?;
    Some((own ^ base).checked_shr(bits - length).unwrap_or(0) == 0)
}

#[cfg(test)]
mod tests;
