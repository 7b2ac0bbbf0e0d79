use proptest::prelude::*;

use super::*;

/// A SYN from the client to port 50021 of this host, through its only interface.
fn syn() -> Probe<'static> {
    Probe {
        addresses: Some(([10, 1, 0, 2].into(), [10, 1, 0, 1].into())),
        v6: false,
        source_port: Some(40100),
        destination_port: Some(50021),
        flags: Flags::SYN,
        may_be_related: false,
        inbound: Through::Interface("eth0"),
        outbound: Through::None,
    }
}

fn holds(rule: &str) -> Option<bool> {
    matches(rule, &syn())
}

#[test]
fn terms_of_nft() {
    for (rule, known) in [
        ("counter drop", Some(true)),
        ("tcp dport 50021 counter drop", Some(true)),
        ("tcp dport 50000-50100 drop", Some(true)),
        ("tcp dport { 21, 50021 } drop", Some(true)),
        ("tcp dport { 21, 22 } drop", Some(false)),
        ("tcp dport != 50021 drop", Some(false)),
        ("tcp dport != { 21, 22 } log prefix \"***\" counter drop comment \"***\"", Some(true)),
        ("tcp dport @ports drop", None),
        ("tcp dport @ports tcp sport 1 drop", Some(false)),
        ("tcp sport 40100 drop", Some(true)),
        ("ip saddr 10.1.0.0/24 ip daddr 10.1.0.1 drop", Some(true)),
        ("ip saddr != 10.1.0.0/24 drop", Some(false)),
        ("ip saddr 10.1.0.1-10.1.0.3 drop", Some(true)),
        ("ip saddr . tcp dport { 10.1.0.2 . 50021 } drop", None),
        ("ip6 saddr fd00::/8 drop", Some(false)),
        ("ip protocol icmp drop", Some(false)),
        ("meta l4proto { tcp, udp } drop", Some(true)),
        ("meta nfproto ipv6 drop", Some(false)),
        ("udp dport 50021 drop", Some(false)),
        ("icmp type echo-request drop", Some(false)),
        ("iifname \"eth0\" drop", Some(true)),
        ("iifname \"eth*\" drop", Some(true)),
        ("iifname { \"lo\", \"eth1\" } drop", Some(false)),
        ("iif \"lo\" accept", Some(false)),
        ("oifname \"eth0\" drop", Some(false)),
        ("ct state established,related accept", Some(false)),
        ("ct state { established, related } accept", Some(false)),
        ("ct state new drop", Some(true)),
        ("ct state invalid drop", None),
        ("ct state vmap { established : accept, invalid : drop }", None),
        ("tcp flags syn / fin,syn,rst,ack drop", None),
        ("limit rate 10/second drop", None),
        ("reject with tcp reset", Some(true)),
        ("fib daddr type local drop", None),
        ("jump ftp", Some(true)),
    ] {
        assert_eq!(holds(rule), known, "{rule}");
    }
}

#[test]
fn terms_of_iptables() {
    for (rule, known) in [
        ("-A INPUT -j DROP", Some(true)),
        ("-A INPUT -p tcp -m tcp --dport 50021 -m comment --comment \"***\" -j DROP", Some(true)),
        ("-A INPUT -p tcp -m tcp ! --dport 50021 -j DROP", Some(false)),
        ("-A INPUT -p tcp -m multiport --dports 21,50000:50100 -j REJECT --reject-with tcp-reset", Some(true)),
        ("-A INPUT -p tcp -m multiport --ports 21,40100 -j DROP", Some(true)),
        ("-A INPUT -s 10.1.0.0/24 -d 10.1.0.1/32 -i eth+ -p tcp -j DROP", Some(true)),
        ("-A INPUT ! -s 10.1.0.0/24 -j DROP", Some(false)),
        ("-A INPUT -s 10.1.0.0/255.255.255.0 -j DROP", None),
        ("-A INPUT -p udp -j DROP", Some(false)),
        ("-A INPUT -p 132 -j DROP", None),
        ("-A INPUT -o eth0 -j DROP", Some(false)),
        ("-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT", Some(false)),
        ("-A INPUT -m conntrack --ctstate NEW -j DROP", Some(true)),
        ("-A INPUT -m conntrack --ctstate INVALID -j DROP", None),
        ("-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP", Some(true)),
        ("-A INPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP", Some(false)),
        ("-A INPUT -m limit --limit 10/sec --limit-burst 5 -p udp -j DROP", Some(false)),
        ("-A INPUT -m limit --limit 10/sec -j DROP", None),
        ("-A INPUT -m set --match-set bad src -j DROP", None),
        ("-A INPUT -m recent --update --seconds 60 --name x --rsource -j DROP", None),
    ] {
        assert_eq!(holds(rule), known, "{rule}");
    }
}

#[test]
fn what_may_be_related_may_be_accepted() {
    let probe = Probe { may_be_related: true, ..syn() };
    for rule in ["ct state established,related accept", "ct state new drop", "-A I -m state --state RELATED -j ACCEPT"]
    {
        assert_eq!(matches(rule, &probe), None, "{rule}");
    }
    let answer = Probe { flags: Flags::SYN | Flags::ACK, ..probe };
    assert_eq!(matches("ct state established,related accept", &answer), Some(true));
    assert_eq!(matches("ct state new drop", &answer), None);
}

#[test]
fn behind_a_translation_addresses_and_ports_are_not_known() {
    let probe = Probe { addresses: None, source_port: None, destination_port: None, ..syn() };
    for rule in
        ["ip saddr 10.9.9.9 drop", "tcp dport 22 drop", "-A I -d 10.9.9.9/32 -j DROP", "-A I --dport 22 -j DROP"]
    {
        assert_eq!(matches(rule, &probe), None, "{rule}");
    }
    assert_eq!(matches("ip6 saddr fd00::1 drop", &probe), Some(false));
}

#[test]
fn how_a_rule_ends() {
    for (rule, end) in [
        ("counter", Ending::GoesOn),
        ("log prefix \"drop\"", Ending::GoesOn),
        ("tcp dport 21 accept comment \"drop\"", Ending::Accepts),
        ("counter reject with icmpx admin-prohibited", Ending::Drops),
        ("jump ftp", Ending::Jumps),
        ("goto ftp", Ending::Goes),
        ("tcp dport 1 jump { tcp dport 21 accept; counter drop; }", Ending::Unknown),
        ("tcp dport vmap @m", Ending::Unknown),
        ("tcp dport vmap { 21 : accept }", Ending::Unknown),
        ("queue to 1", Ending::Unknown),
        ("counter xt target \"REJECT\"", Ending::Unknown),
        ("dnat to 10.0.0.1", Ending::Accepts),
        ("-A INPUT -j DROP", Ending::Drops),
        ("-A INPUT -j REJECT --reject-with tcp-reset", Ending::Drops),
        ("-A INPUT -m comment --comment \"-j DROP\" -j ACCEPT", Ending::Accepts),
        ("-A INPUT -p tcp", Ending::GoesOn),
        ("-A INPUT -j LOG --log-prefix \"***\"", Ending::GoesOn),
        ("-A INPUT -j CT --helper ftp", Ending::GoesOn),
        ("-A INPUT -g FTP", Ending::Goes),
        ("-A INPUT -j FTP", Ending::Jumps),
        ("-A INPUT -j TARPIT", Ending::Jumps),
        ("-A INPUT -j NFQUEUE --queue-num 1", Ending::Jumps),
    ] {
        assert_eq!(ending(rule), end, "{rule}");
    }
    assert_eq!((leads_to("jump ftp"), leads_to("-A INPUT -g FTP")), (Some("ftp"), Some("FTP")));
}

proptest! {
    #[test]
    fn whatever_stands_in_a_rule(rule in "(-A I )?((ip|tcp|dport|saddr|ct|state|-p|-s|!|!=|\\{|\\}|--dport|-j|vmap|\"|[0-9./:,-]{1,9}|\\PC) ){0,12}") {
        let _ = (matches(&rule, &syn()), ending(&rule), leads_to(&rule), translates(&rule, true));
    }

    /// A rule that holds does not hold when its one term is negated, and what is not known stays so.
    #[test]
    fn negation(low in any::<u16>(), more in 0_u16..200, v6 in any::<bool>()) {
        let high = low.saturating_add(more);
        let probe = Probe { v6, ..syn() };
        let (plain, negated) = (format!("tcp dport {low}-{high} drop"), format!("tcp dport != {low}-{high} drop"));
        prop_assert_eq!(matches(&plain, &probe), Some((low..=high).contains(&50021)));
        prop_assert_eq!(matches(&negated, &probe), Some(!(low..=high).contains(&50021)));
        let (plain, negated) = (format!("-A I -p tcp --dport {low}:{high} -j DROP"), format!("-A I -p tcp ! --dport {low}:{high} -j DROP"));
        prop_assert_ne!(matches(&plain, &probe), matches(&negated, &probe));
    }
}
