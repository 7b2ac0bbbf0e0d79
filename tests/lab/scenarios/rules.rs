//! Rulesets that occur again and again, in each tool's own syntax.

use crate::firewall::Tool;

/// What a rule does to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Drop,
    /// An ICMP error of this kind.
    Reject(Icmp),
    Reset,
}

/// ICMP errors by their names for IPv4; IPv6 has the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Icmp {
    Port,
    Host,
    Net,
    Admin,
}

impl Fate {
    /// For names.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Fate::Drop => "drop",
            Fate::Reset => "reset",
            Fate::Reject(Icmp::Port) => "port",
            Fate::Reject(Icmp::Host) => "host",
            Fate::Reject(Icmp::Net) => "net",
            Fate::Reject(Icmp::Admin) => "admin",
        }
    }

    fn nft(self, v6: bool) -> &'static str {
        match (self, v6) {
            (Fate::Drop, _) => "drop",
            (Fate::Reset, _) => "reject with tcp reset",
            (Fate::Reject(Icmp::Port), false) => "reject with icmp port-unreachable",
            (Fate::Reject(Icmp::Host), false) => "reject with icmp host-prohibited",
            (Fate::Reject(Icmp::Net), false) => "reject with icmp net-prohibited",
            (Fate::Reject(Icmp::Admin), false) => "reject with icmp admin-prohibited",
            (Fate::Reject(Icmp::Port), true) => "reject with icmpv6 port-unreachable",
            (Fate::Reject(Icmp::Host), true) => "reject with icmpv6 addr-unreachable",
            (Fate::Reject(Icmp::Net), true) => "reject with icmpv6 no-route",
            (Fate::Reject(Icmp::Admin), true) => "reject with icmpv6 admin-prohibited",
        }
    }

    fn iptables(self, v6: bool) -> &'static str {
        match (self, v6) {
            (Fate::Drop, _) => "DROP",
            (Fate::Reset, _) => "REJECT --reject-with tcp-reset",
            (Fate::Reject(Icmp::Port), false) => "REJECT --reject-with icmp-port-unreachable",
            (Fate::Reject(Icmp::Host), false) => "REJECT --reject-with icmp-host-prohibited",
            (Fate::Reject(Icmp::Net), false) => "REJECT --reject-with icmp-net-prohibited",
            (Fate::Reject(Icmp::Admin), false) => "REJECT --reject-with icmp-admin-prohibited",
            (Fate::Reject(Icmp::Port), true) => "REJECT --reject-with icmp6-port-unreachable",
            (Fate::Reject(Icmp::Host), true) => "REJECT --reject-with icmp6-addr-unreachable",
            (Fate::Reject(Icmp::Net), true) => "REJECT --reject-with icmp6-no-route",
            (Fate::Reject(Icmp::Admin), true) => "REJECT --reject-with icmp6-adm-prohibited",
        }
    }
}

/// A chain that lets nothing new pass but connections to these ports; all else meets its fate.
pub(crate) fn only(tool: Tool, hook: &str, ports: &str, fate: Fate, v6: bool) -> String {
    let icmp = if v6 { "ipv6-icmp" } else { "icmp" };
    let protocol = if fate == Fate::Reset { "meta l4proto tcp " } else { "" };
    let lo = match hook {
        "input" => "iifname lo accept",
        "output" => "oifname lo accept",
        _ => "",
    };
    match tool {
        Tool::Nft => format!(
            "chain {hook} {{
                type filter hook {hook} priority 0; policy drop;
                {lo}
                ct state established,related accept
                meta l4proto {icmp} accept
                tcp dport {{ {ports} }} accept
                {protocol}counter {} comment \"blamed\"
            }}",
            fate.nft(v6)
        ),
        _ => {
            let hook = hook.to_uppercase();
            let tcp = if fate == Fate::Reset { "-p tcp " } else { "" };
            let lo = match hook.as_str() {
                "INPUT" => "-A INPUT -i lo -j ACCEPT\n",
                "OUTPUT" => "-A OUTPUT -o lo -j ACCEPT\n",
                _ => "",
            };
            format!(
                ":{hook} DROP [0:0]\n{lo}-A {hook} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
                 -A {hook} -p {icmp} -j ACCEPT\n-A {hook} -p tcp -m multiport --dports {} -j ACCEPT\n\
                 -A {hook} {tcp}-m comment --comment blamed -j {}",
                ports.replace(", ", ",").replace('-', ":"),
                fate.iptables(v6)
            )
        }
    }
}

/// A chain that lets everything pass but segments with SYN and ACK from other ports than 21, which meet their fate.
pub(crate) fn no_data_syn_ack(tool: Tool, hook: &str, fate: Fate, v6: bool) -> String {
    syn_ack(tool, hook, ["tcp sport != 21", "! --sport 21"], fate, v6)
}

/// A chain that lets everything pass but segments with SYN and ACK from port 21.
pub(crate) fn no_control_syn_ack(tool: Tool, hook: &str, fate: Fate, v6: bool) -> String {
    syn_ack(tool, hook, ["tcp sport 21", "--sport 21"], fate, v6)
}

fn syn_ack(tool: Tool, hook: &str, [nft, iptables]: [&str; 2], fate: Fate, v6: bool) -> String {
    match tool {
        Tool::Nft => format!(
            "chain {hook} {{
                type filter hook {hook} priority 0; policy accept;
                {nft} tcp flags & (syn|ack) == syn|ack counter {} comment \"blamed\"
            }}",
            fate.nft(v6)
        ),
        _ => format!(
            "-A {} -p tcp -m tcp {iptables} --tcp-flags SYN,ACK SYN,ACK -m comment --comment blamed -j {}",
            hook.to_uppercase(),
            fate.iptables(v6)
        ),
    }
}
