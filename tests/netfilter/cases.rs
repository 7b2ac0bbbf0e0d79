//! Which rules, and which packet.

use ftpwhy::netfilter::{Family, Tool};
use ftpwhy::packet::Flags;

use crate::world::End::{self, Client, Here, Server};

/// The port of the data connection. This host listens there.
pub(crate) const DATA: u16 = 50021;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// A table for nft(8), or commands.
    pub(crate) rules: &'static str,
    /// Who opens the control connection with whom. If nobody does, all that is known is the passive range.
    pub(crate) control: Option<(End, End)>,
    /// Who opens the data connection with whom.
    pub(crate) data: (End, End),
    pub(crate) v6: bool,
    /// The segment of the data connection that is dropped.
    pub(crate) flags: Flags,
    /// Whether it is dropped as translated.
    pub(crate) translated: bool,
    /// The rules alone do not tell that nothing else can become of it.
    pub(crate) unsure: bool,
    /// What drops it.
    pub(crate) by: By,
}

pub(crate) struct By {
    pub(crate) tool: Tool,
    pub(crate) family: Family,
    pub(crate) table: &'static str,
    pub(crate) chain: &'static str,
    /// The chain through which it came in.
    pub(crate) base_chain: &'static str,
    /// Position in the chain, from 1; the policy if there is none.
    pub(crate) position: Option<usize>,
}

const fn nft(chain: &'static str, position: Option<usize>) -> By {
    By { tool: Tool::Nft, family: Family::Inet, table: "filter", chain, base_chain: chain, position }
}

const fn iptables(chain: &'static str, position: Option<usize>) -> By {
    By { tool: Tool::IptablesNft, family: Family::Ip, table: "filter", chain, base_chain: chain, position }
}

const fn ip6tables(chain: &'static str, position: Option<usize>) -> By {
    By { family: Family::Ip6, ..iptables(chain, position) }
}

const fn legacy(chain: &'static str, position: Option<usize>) -> By {
    By { tool: Tool::IptablesLegacy, ..iptables(chain, position) }
}

const fn case(name: &'static str, rules: &'static str, data: (End, End), by: By) -> Case {
    let control = (Client, if matches!(data, (Server, _) | (_, Server)) { Server } else { Here });
    Case {
        name,
        rules,
        control: Some(control),
        data,
        v6: false,
        flags: Flags::SYN,
        translated: false,
        unsure: false,
        by,
    }
}

const fn v6(case: Case) -> Case {
    Case { v6: true, ..case }
}

const fn unsure(case: Case) -> Case {
    Case { unsure: true, ..case }
}

const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);
const PSH_ACK: Flags = Flags(Flags::PSH.0 | Flags::ACK.0);

pub(crate) const CASES: &[Case] = &[
    case(
        "nft-input-drop",
        "table inet filter { chain input { type filter hook input priority 0; policy accept;
         tcp dport 22 counter accept; tcp dport 50021 counter drop comment \"a # handle 1 {\"; tcp dport 50021 counter; } }",
        (Client, Here),
        nft("input", Some(2)),
    ),
    v6(case(
        "nft-input-drop-v6",
        "table inet filter { chain input { type filter hook input priority 0; policy accept;
         ip daddr 10.1.0.1 counter drop; ip6 daddr fd01::1 tcp dport 50021 counter drop; } }",
        (Client, Here),
        nft("input", Some(2)),
    )),
    case(
        "nft-input-reject",
        "table inet filter { chain input { type filter hook input priority 0; policy accept;
         log prefix \"counter packets 7\" counter; tcp dport 50021 counter reject; } }",
        (Client, Here),
        nft("input", Some(2)),
    ),
    v6(case(
        "nft-input-reject-v6",
        "table inet filter { chain input { type filter hook input priority 0; policy accept;
         tcp dport 50021 counter reject with tcp reset; } }",
        (Client, Here),
        nft("input", Some(1)),
    )),
    case(
        "nft-input-policy",
        "table inet filter { chain input { type filter hook input priority 0; policy drop;
         ct state established,related counter accept; tcp dport 21 counter accept; } }",
        (Client, Here),
        nft("input", None),
    ),
    case(
        "nft-input-jump",
        "table inet filter { chain ftp { tcp dport 21 counter accept; tcp dport 50000-50100 counter drop; }
         chain input { type filter hook input priority 0; policy accept; tcp dport 1-60000 counter jump ftp; } }",
        (Client, Here),
        By { base_chain: "input", ..nft("ftp", Some(2)) },
    ),
    case(
        "nft-input-jump-block",
        "table inet filter { chain input { type filter hook input priority 0; policy accept;
         tcp dport 1-60000 counter jump { tcp dport 21 accept; counter drop; }; tcp dport 7 counter; } }",
        (Client, Here),
        nft("input", Some(1)),
    ),
    case(
        "nft-input-set",
        "table inet filter { set ports { type inet_service; elements = { 21, 22, 80, 443, 50021, 50022 }; }
         chain input { type filter hook input priority 0; policy accept; tcp dport 21 counter accept;
         tcp dport @ports counter drop; } }",
        (Client, Here),
        nft("input", Some(2)),
    ),
    case(
        "nft-input-verdict-map",
        "table inet filter { map m { type inet_service : verdict; elements = { 21 : accept, 50021 : drop }; }
         chain input { type filter hook input priority 0; policy accept; tcp dport { 7, 9 } counter;
         tcp dport vmap @m; } }",
        (Client, Here),
        nft("input", Some(2)),
    ),
    case(
        "nft-second-table",
        "table inet other { chain input { type filter hook input priority 0; policy accept;
         tcp dport 50021 counter accept; } }
         table inet filter { chain input { type filter hook input priority 10; policy accept;
         tcp dport 50021 counter drop; } }",
        (Client, Here),
        nft("input", Some(1)),
    ),
    case(
        "nft-prerouting-raw",
        "table inet filter { chain early { type filter hook prerouting priority -300; policy accept;
         tcp dport 50021 counter drop; } }",
        (Client, Here),
        nft("early", Some(1)),
    ),
    case(
        "nft-output-drop",
        "table inet filter { chain output { type filter hook output priority 0; policy accept;
         ip daddr 10.1.0.2 tcp dport 50021 counter drop; } }",
        (Here, Client),
        nft("output", Some(1)),
    ),
    Case { flags: SYN_ACK, ..case(
        "nft-output-syn-ack",
        "table inet filter { chain output { type filter hook output priority 0; policy accept;
         tcp sport 50021 tcp flags & (syn | ack) == syn | ack counter drop; } }",
        (Client, Here),
        nft("output", Some(1)),
    ) },
    Case { flags: PSH_ACK, unsure: true, ..case(
        "nft-established",
        "table inet filter { chain input { type filter hook input priority 0; policy accept;
         tcp dport 50021 meta length > 200 counter drop; } }",
        (Client, Here),
        nft("input", Some(1)),
    ) },
    case(
        "nft-forward-drop",
        "table inet filter { chain forward { type filter hook forward priority 0; policy accept;
         tcp dport 21 counter accept; tcp dport 50021 counter drop; } }",
        (Client, Server),
        nft("forward", Some(2)),
    ),
    v6(case(
        "nft-forward-reject-v6",
        "table inet filter { chain forward { type filter hook forward priority 0; policy accept;
         tcp dport 50021 counter reject with icmpx type admin-prohibited; } }",
        (Server, Client),
        nft("forward", Some(1)),
    )),
    Case { translated: true, unsure: true, ..case(
        "nft-forward-dnat",
        "table ip nat { chain pre { type nat hook prerouting priority -100; policy accept;
         ip daddr 10.1.0.1 tcp dport { 21, 50021 } counter dnat to 10.2.0.2; } }
         table inet filter { chain forward { type filter hook forward priority 0; policy accept;
         ip daddr 10.2.0.2 tcp dport 50021 counter drop; } }",
        (Client, Here),
        nft("forward", Some(1)),
    ) },
    Case { control: Some((Client, Server)), ..case(
        "nft-postrouting-snat",
        "table ip nat { chain post { type nat hook postrouting priority 100; policy accept;
         oifname server counter masquerade; } }
         table inet filter { chain input { type filter hook input priority 0; policy accept;
         tcp dport 50021 counter drop; } }",
        (Server, Here),
        nft("input", Some(1)),
    ) },
    case(
        "iptables-input-drop",
        "iptables-nft -A INPUT -p tcp --dport 21 -j ACCEPT
         iptables-nft -A INPUT -p tcp --dport 50021 -m comment --comment 'no \"data\" # handle 9' -j DROP",
        (Client, Here),
        iptables("INPUT", Some(2)),
    ),
    case(
        "iptables-input-reject",
        "iptables-nft -A INPUT -p tcp --dport 21 -j ACCEPT
         iptables-nft -A INPUT -j LOG
         iptables-nft -A INPUT -p tcp -m multiport --dports 50000:50100 -j REJECT --reject-with icmp-host-prohibited",
        (Client, Here),
        iptables("INPUT", Some(3)),
    ),
    case(
        "iptables-input-policy",
        "iptables-nft -P INPUT DROP
         iptables-nft -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
         iptables-nft -A INPUT -p tcp --dport 21 -j ACCEPT",
        (Client, Here),
        iptables("INPUT", None),
    ),
    unsure(case(
        "iptables-user-chain",
        "iptables-nft -N FTP
         iptables-nft -A FTP -p tcp --dport 21 -j RETURN
         iptables-nft -A FTP -p tcp --dport 50021 -m limit --limit 1000/s -j DROP
         iptables-nft -A INPUT -p tcp -m comment --comment 'ftp' -j FTP",
        (Client, Here),
        By { base_chain: "INPUT", ..iptables("FTP", Some(2)) },
    )),
    case(
        "iptables-output-reject",
        "iptables-nft -A OUTPUT -p tcp --dport 50021 -j REJECT --reject-with tcp-reset",
        (Here, Client),
        iptables("OUTPUT", Some(1)),
    ),
    case(
        "iptables-forward-drop",
        "iptables-nft -A FORWARD -p tcp --dport 50021 -j DROP; iptables-nft -I FORWARD 1 -p tcp --dport 21 -j ACCEPT",
        (Client, Server),
        iptables("FORWARD", Some(2)),
    ),
    case(
        "iptables-raw-prerouting",
        "iptables-nft -t raw -A PREROUTING -p tcp --dport 50021 -j DROP",
        (Client, Here),
        By { table: "raw", ..iptables("PREROUTING", Some(1)) },
    ),
    v6(case(
        "ip6tables-input-drop",
        "iptables-nft -A INPUT -p tcp --dport 50021 -j ACCEPT
         ip6tables-nft -A INPUT -p tcp --dport 21 -j ACCEPT; ip6tables-nft -A INPUT -p tcp --dport 50021 -j DROP",
        (Client, Here),
        ip6tables("INPUT", Some(2)),
    )),
    v6(case(
        "ip6tables-forward-policy",
        "ip6tables-nft -P FORWARD DROP; ip6tables-nft -A FORWARD -p tcp --dport 21 -j ACCEPT
         ip6tables-nft -A FORWARD -p tcp --sport 21 -j ACCEPT",
        (Client, Server),
        ip6tables("FORWARD", None),
    )),
    case(
        "legacy-input-drop",
        "iptables-legacy -A INPUT -p tcp --dport 21 -j ACCEPT
         iptables-legacy -A INPUT -p tcp --dport 50021 -m comment --comment 'no -j \"ACCEPT\"' -j DROP",
        (Client, Here),
        legacy("INPUT", Some(2)),
    ),
    case(
        "legacy-user-chain",
        "iptables-legacy -N FTP; iptables-legacy -A FTP -p tcp --dport 21 -j RETURN
         iptables-legacy -A FTP -p tcp --dport 50021 -j REJECT; iptables-legacy -A FORWARD -j FTP",
        (Client, Server),
        By { base_chain: "FORWARD", ..legacy("FTP", Some(2)) },
    ),
    case(
        "legacy-output-policy",
        "iptables-legacy -P OUTPUT DROP; iptables-legacy -A OUTPUT -p tcp --dport 21 -j ACCEPT
         iptables-legacy -A OUTPUT -p tcp --sport 21 -j ACCEPT",
        (Here, Client),
        legacy("OUTPUT", None),
    ),
    case(
        "legacy-raw-prerouting",
        "iptables-legacy -t raw -A PREROUTING -p tcp --dport 50021 -j DROP",
        (Client, Here),
        By { table: "raw", ..legacy("PREROUTING", Some(1)) },
    ),
    v6(case(
        "ip6-legacy-forward-reject",
        "ip6tables-legacy -A FORWARD -p tcp --dport 21 -j ACCEPT
         ip6tables-legacy -A FORWARD -p tcp --dport 50021 -j REJECT --reject-with tcp-reset",
        (Client, Server),
        By { family: Family::Ip6, ..legacy("FORWARD", Some(2)) },
    )),
    case(
        "nft-hosts-and-ports",
        "table inet filter {
         set peers { type ipv4_addr; flags interval; elements = { 10.1.0.0/24, 192.0.2.1-192.0.2.9 }; }
         set data { type inet_service; flags interval; elements = { 20, 40000-40010, 50020-50030 }; }
         chain input { type filter hook input priority 0; policy accept; iifname lo accept;
         ip saddr @peers tcp dport 21 accept; ip saddr != @peers drop; ip saddr @peers tcp dport @data counter drop; } }",
        (Client, Here),
        nft("input", Some(4)),
    ),
    case(
        "nft-state-map",
        "table inet filter { chain fresh { tcp flags syn / fin,syn,rst,ack tcp dport vmap { 21 : accept, 50000-50100 : drop }; }
         chain input { type filter hook input priority 0; policy accept;
         ct state vmap { established : accept, related : accept, invalid : drop, new : goto fresh }; drop; } }",
        (Client, Here),
        By { base_chain: "input", ..nft("fresh", Some(1)) },
    ),
    unsure(case(
        "nft-limit-and-mark",
        "table inet filter { chain input { type filter hook input priority 0; policy accept;
         tcp dport 50021 limit rate over 1000/second drop; tcp dport 50021 meta mark set 7;
         ip saddr . tcp dport { 10.1.0.2 . 50021 } counter drop; tcp dport 50021 drop; } }",
        (Client, Here),
        nft("input", Some(3)),
    )),
    v6(case(
        "nft-hosts-v6",
        "table ip6 hosts { chain forward { type filter hook forward priority filter + 5; policy drop;
         ip6 saddr fd01::/64 ip6 daddr { fd02::2, fd02::3 } tcp dport { 21, 22 } counter accept; oifname \"lo\" accept; } }",
        (Client, Server),
        By { family: Family::Ip6, table: "hosts", ..nft("forward", None) },
    )),
    case(
        "iptables-negated",
        "iptables-nft -A INPUT ! -i lo -p tcp -m multiport ! --dports 21,22 -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j LOG
         iptables-nft -A INPUT -p tcp ! --syn -j ACCEPT
         iptables-nft -A INPUT ! -s 10.9.0.0/16 -p tcp -m conntrack ! --ctstate RELATED,ESTABLISHED -m tcp --dport 50000:50100 -j DROP",
        (Client, Here),
        iptables("INPUT", Some(3)),
    ),
    case(
        "legacy-goto",
        "iptables-legacy -N OTHER; iptables-legacy -N FTP; iptables-legacy -A FTP -p udp -j ACCEPT
         iptables-legacy -A FTP -p tcp -m tcp --dport 21 -j ACCEPT; iptables-legacy -A OTHER -g FTP
         iptables-legacy -A INPUT -p tcp -j OTHER; iptables-legacy -A INPUT -p tcp -m state --state NEW -j DROP",
        (Client, Here),
        legacy("INPUT", Some(2)),
    ),
    case(
        "nft-behind-legacy",
        "iptables-legacy -A INPUT -p tcp --dport 50021 -j ACCEPT
         nft -f - <<'END'
         table inet filter { chain input { type filter hook input priority 10; policy accept;
         tcp dport 50021 counter drop; } }
END",
        (Client, Here),
        nft("input", Some(1)),
    ),
    Case {
        control: None,
        ..case(
            "passive-range",
            "table inet filter { chain input { type filter hook input priority 0; policy accept;
             tcp dport 50021 counter drop; } }",
            (Client, Here),
            nft("input", Some(1)),
        )
    },
];
