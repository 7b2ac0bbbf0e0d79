//! The commands of packet filters: one small function per kind of act, for every tool that can do it.
//!
//! Read iptables-extensions(8), nft(8), firewall-cmd(1) and ufw(8) first. Rules are inserted at the head of the usual
//! chains (`INPUT`, `inet filter input`, ...), since what stands behind a final REJECT is never reached. Everything that
//! goes into a command is a number or a parsed address.

use std::fmt::Display;
use std::net::IpAddr;

use super::Commands;
use crate::language::{Text, say};

/// A range of ports; a single one has two equal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) low: u16,
    pub(super) high: u16,
}

impl Ports {
    /// All ports that a program may take without privilege.
    pub(super) const UNPRIVILEGED: Ports = Ports { low: 1024, high: u16::MAX };

    /// A range to pin where no port of the session is known.
    pub(super) const EXAMPLE: Ports = Ports { low: 50_000, high: 50_099 };

    pub(super) fn one(port: u16) -> Ports {
        Ports { low: port, high: port }
    }

    /// The hundred that a port lies in: small enough to open, large enough for a server's passive range.
    pub(super) fn around(port: u16) -> Ports {
        if port < Self::UNPRIVILEGED.low {
            return Ports::one(port);
        }
        let low = port - port % 100;
        Ports { low: low.max(Self::UNPRIVILEGED.low), high: low.saturating_add(99) }
    }

    /// Both ends with `between` them, or the one port.
    pub(super) fn join(self, between: &str) -> String {
        let Ports { low, high } = self;
        if low == high { low.to_string() } else { format!("{low}{between}{high}") }
    }

    /// In a sentence.
    pub(super) fn words(self) -> Text {
        let Ports { low, high } = self;
        if low == high { say!("port {low}", low) } else { say!("ports {low}-{high}", low, high) }
    }
}

/// Through which hook of the box a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chain {
    /// To the box itself.
    Input,
    /// From the box itself.
    Output,
    /// Through it.
    Forward,
}

impl Chain {
    fn iptables(self) -> &'static str {
        match self {
            Chain::Input => "INPUT",
            Chain::Output => "OUTPUT",
            Chain::Forward => "FORWARD",
        }
    }

    fn nft(self) -> &'static str {
        match self {
            Chain::Input => "input",
            Chain::Output => "output",
            Chain::Forward => "forward",
        }
    }
}

/// Where a helper has to see the control connection first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    /// It comes from outside: a server or a router.
    Prerouting,
    /// The box itself opens it: a client.
    Output,
}

impl Hook {
    fn iptables(self) -> &'static str {
        match self {
            Hook::Prerouting => "PREROUTING",
            Hook::Output => "OUTPUT",
        }
    }

    fn nft(self) -> &'static str {
        match self {
            Hook::Prerouting => "prerouting",
            Hook::Output => "output",
        }
    }
}

/// IP version of the session, which decides the words for addresses and the name of the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    pub(super) fn of(ip: IpAddr) -> Family {
        if ip.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    pub(super) fn iptables(self) -> &'static str {
        match self {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        }
    }

    fn nft(self) -> &'static str {
        match self {
            Family::V4 => "ip",
            Family::V6 => "ip6",
        }
    }

    fn firewalld(self) -> &'static str {
        match self {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        }
    }
}

/// The SYN to let in, out or through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    pub(super) family: Family,
    pub(super) chain: Chain,
    /// None for anybody.
    pub(super) source: Option<IpAddr>,
    /// None for any port.
    pub(super) source_port: Option<u16>,
    /// None for any address; the box's own for [`Chain::Input`].
    pub(super) destination: Option<IpAddr>,
    pub(super) ports: Ports,
}

/// Lets the SYN pass, by every tool.
pub(super) fn accept(pass: &Pass) -> Commands {
    let mut commands = vec![(pass.family.iptables(), accept_iptables(pass)), ("nftables", accept_nft(pass))];
    commands.extend(accept_firewalld(pass));
    commands.push(("ufw", accept_ufw(pass)));
    commands.extend(accept_windows(pass).map(|command| ("Windows", command)));
    commands
}

/// `word value`, with a blank before; nothing without a value.
fn option<T: Display>(word: &str, value: Option<T>) -> String {
    value.map(|value| format!(" {word}{value}")).unwrap_or_default()
}

fn accept_iptables(pass: &Pass) -> String {
    format!("{} -I {}{} -j ACCEPT", pass.family.iptables(), pass.chain.iptables(), match_iptables(pass))
}

/// The SYN in the words of iptables(8), with a blank before.
pub(super) fn match_iptables(pass: &Pass) -> String {
    format!(
        "{}{} -p tcp{} --dport {}",
        option("-s ", pass.source),
        option("-d ", pass.destination),
        option("--sport ", pass.source_port),
        pass.ports.join(":")
    )
}

fn accept_nft(pass: &Pass) -> String {
    format!("nft insert rule inet filter {}{} accept", pass.chain.nft(), match_nft(pass))
}

/// The SYN in the words of nft(8), with a blank before.
pub(super) fn match_nft(pass: &Pass) -> String {
    let ip = pass.family.nft();
    format!(
        "{}{}{} tcp dport {}",
        option(&format!("{ip} saddr "), pass.source),
        option(&format!("{ip} daddr "), pass.destination),
        option("tcp sport ", pass.source_port),
        pass.ports.join("-")
    )
}

/// firewalld filters what comes in; what goes out or through it filters by policies only.
fn accept_firewalld(pass: &Pass) -> Commands {
    let ports = pass.ports.join("-");
    match (pass.chain, pass.source) {
        (Chain::Input, None) => firewalld(&[format!("--add-port={ports}/tcp")]),
        (Chain::Input, Some(_)) => firewalld(&[format!("--add-rich-rule='{}'", rich_rule(pass))]),
        (Chain::Forward, _) => firewalld_policy("ftp-data", "ANY", &format!("--add-rich-rule='{}'", rich_rule(pass))),
        (Chain::Output, _) => firewalld_policy("ftp-data", "HOST", &format!("--add-rich-rule='{}'", rich_rule(pass))),
    }
}

/// A rich rule has one port at most: the source port if it is known, which says more.
fn rich_rule(pass: &Pass) -> String {
    let address = |word: &str, ip: Option<IpAddr>| ip.map(|ip| format!(" {word} address=\"{ip}\"")).unwrap_or_default();
    let port = match pass.source_port {
        Some(port) => format!("source-port port=\"{port}\""),
        None => format!("port port=\"{}\"", pass.ports.join("-")),
    };
    format!(
        "rule family=\"{}\"{}{} {port} protocol=\"tcp\" accept",
        pass.family.firewalld(),
        address("source", pass.source),
        address("destination", pass.destination)
    )
}

/// Permanent options, then the reload that puts them in force.
fn firewalld(options: &[String]) -> Commands {
    let permanent = options.iter().map(|option| ("firewalld", format!("firewall-cmd --permanent {option}")));
    permanent.chain([("firewalld", "firewall-cmd --reload".to_owned())]).collect()
}

fn firewalld_policy(name: &str, ingress: &str, what: &str) -> Commands {
    firewalld(&[
        format!("--new-policy={name}"),
        format!("--policy={name} --add-ingress-zone={ingress}"),
        format!("--policy={name} --add-egress-zone=ANY"),
        format!("--policy={name} {what}"),
    ])
}

fn accept_ufw(pass: &Pass) -> String {
    let ports = pass.ports.join(":");
    let any = |ip: Option<IpAddr>| ip.map_or("any".to_owned(), |ip| ip.to_string());
    let way = match pass.chain {
        Chain::Input if pass.source.is_none() => return format!("ufw allow {ports}/tcp"),
        Chain::Input => "allow",
        Chain::Output => "allow out",
        Chain::Forward => "route allow",
    };
    format!(
        "ufw {way} proto tcp from {}{} to {} port {ports}",
        any(pass.source),
        option("port ", pass.source_port),
        any(pass.destination)
    )
}

fn accept_windows(pass: &Pass) -> Option<String> {
    let ports = pass.ports.join("-");
    let rule = "netsh advfirewall firewall add rule name=\"FTP\" action=allow protocol=TCP";
    match pass.chain {
        Chain::Input => Some(format!(
            "{rule} dir=in{}{} localport={ports}",
            option("remoteip=", pass.source),
            option("remoteport=", pass.source_port)
        )),
        Chain::Output => Some(format!(
            "{rule} dir=out{}{} remoteport={ports}",
            option("remoteip=", pass.destination),
            option("localport=", pass.source_port)
        )),
        Chain::Forward => None,
    }
}

/// Assigns the conntrack helper to control connections to `port`, and lets in what it expects.
///
/// The nft chain stands at priority 0: at -200 and before, connection tracking has not yet seen the packet, and the
/// assignment is silently lost.
pub(super) fn helper(family: Family, hook: Hook, chain: Chain, port: u16) -> Commands {
    let tool = family.iptables();
    let nft_hook = hook.nft();
    let mut commands = vec![
        (tool, format!("{tool} -t raw -A {} -p tcp --dport {port} -j CT --helper ftp", hook.iptables())),
        (tool, established_iptables(family, chain)),
        ("nftables", "nft add table inet ftp_helper".to_owned()),
        ("nftables", "nft add ct helper inet ftp_helper ftp '{ type \"ftp\" protocol tcp; }'".to_owned()),
        (
            "nftables",
            format!("nft add chain inet ftp_helper {nft_hook} '{{ type filter hook {nft_hook} priority filter; }}'"),
        ),
        ("nftables", format!("nft add rule inet ftp_helper {nft_hook} tcp dport {port} ct helper set ftp")),
        ("nftables", established_nft(chain)),
    ];
    if port == 21 {
        commands.extend(helper_firewalld(hook, chain));
    }
    commands
}

/// The service knows port 21 only.
fn helper_firewalld(hook: Hook, chain: Chain) -> Commands {
    let service = "--add-service=ftp";
    match (hook, chain) {
        (_, Chain::Forward) => firewalld_policy("ftp-helper", "ANY", service),
        (Hook::Output, _) => firewalld_policy("ftp-helper", "HOST", service),
        (Hook::Prerouting, _) => firewalld(&[service.to_owned()]),
    }
}

/// The same with address translation: the helper's other half rewrites PORT and 227.
pub(super) fn helper_nat(family: Family, port: u16) -> Commands {
    let mut commands = vec![("kernel", "modprobe nf_nat_ftp".to_owned())];
    commands.extend(helper(family, Hook::Prerouting, Chain::Forward, port));
    commands
}

fn established_iptables(family: Family, chain: Chain) -> String {
    let (tool, chain) = (family.iptables(), chain.iptables());
    format!("{tool} -I {chain} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT")
}

fn established_nft(chain: Chain) -> String {
    format!("nft insert rule inet filter {} ct state established,related accept", chain.nft())
}

/// Lets pass what belongs to a connection that was let in.
pub(super) fn established(family: Family, chain: Chain) -> Commands {
    vec![(family.iptables(), established_iptables(family, chain)), ("nftables", established_nft(chain))]
}

/// The error that says what fits, in the words of iptables and of nft.
fn too_big(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::V4 => {
            ("-p icmp --icmp-type fragmentation-needed", "icmp type destination-unreachable icmp code frag-needed")
        }
        Family::V6 => ("-p ipv6-icmp --icmpv6-type packet-too-big", "icmpv6 type packet-too-big"),
    }
}

/// Makes both ends of what a router forwards agree on segments that fit, and lets the errors pass that say so.
pub(super) fn fit_path_mtu(family: Family) -> Commands {
    let tool = family.iptables();
    let (icmp, nft) = too_big(family);
    let clamp = "-p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu";
    vec![
        (tool, format!("{tool} -t mangle -A FORWARD {clamp}")),
        (tool, format!("{tool} -I FORWARD {icmp} -j ACCEPT")),
        (
            "nftables",
            "nft insert rule inet filter forward tcp flags syn / syn,rst tcp option maxseg size set rt mtu".to_owned(),
        ),
        ("nftables", format!("nft insert rule inet filter forward {nft} accept")),
    ]
}

/// Lets the errors in that tell a host about the path MTU, and makes it look for itself where they do not come.
pub(super) fn heed_path_mtu(family: Family) -> Commands {
    let tool = family.iptables();
    let (icmp, nft) = too_big(family);
    vec![
        ("kernel", "sysctl -w net.ipv4.tcp_mtu_probing=1".to_owned()),
        (tool, format!("{tool} -I INPUT {icmp} -j ACCEPT")),
        ("nftables", format!("nft insert rule inet filter input {nft} accept")),
    ]
}

/// Sends packets for `public` that a client inside made to `server`, and their answers back through the router.
pub(super) fn hairpin(public: IpAddr, client: IpAddr, server: IpAddr, ports: Ports) -> Commands {
    let family = Family::of(server);
    let tool = family.iptables();
    let match_ports = format!("-p tcp --dport {}", ports.join(":"));
    vec![
        (tool, format!("{tool} -t nat -A PREROUTING -d {public} {match_ports} -j DNAT --to-destination {server}")),
        (tool, format!("{tool} -t nat -A POSTROUTING -s {client} -d {server} {match_ports} -j MASQUERADE")),
    ]
}
