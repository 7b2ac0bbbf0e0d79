#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::netfilter::Tool;
use crate::packet::{Endpoint, Flags};

/// A SYN from 10.1.0.2:40000 to 10.1.0.1:50021 that comes in by another device than the loopback.
fn syn() -> Packet {
    let end = |text: &str, port| Endpoint { ip: text.parse().unwrap(), port };
    Packet {
        v6: false,
        source: end("10.1.0.2", 40000).into(),
        destination: end("10.1.0.1", 50021).into(),
        flags: Flags::SYN,
        inbound: Device::Outside,
        outbound: Device::Unknown,
        states: States::NEW,
        translated: None,
    }
}

/// The chain `input` with these rules in nft's words, and its policy.
fn input(rules: &str, policy: &str) -> Ruleset {
    let lines: Vec<String> = rules.lines().map(|rule| format!("\t\t{}\n", rule.trim())).collect();
    let mut ruleset = Ruleset::default();
    ruleset.add_nft(&format!(
        "table inet filter {{ # handle 1\n\tset ports {{ # handle 2\n\t\ttype inet_service\n\t\tflags interval\n\
         \t\telements = {{ 21, 50000-50010,\n\t\t\t     50020-50030 }}\n\t}}\n\n\
         \tmap fates {{ # handle 3\n\t\ttype inet_service : verdict\n\t\telements = {{ 21 : accept, 50021 : drop }}\n\t}}\n\n\
         \tset seen {{ # handle 4\n\t\ttype ipv4_addr\n\t\tflags dynamic,timeout\n\t\telements = {{ 10.1.0.2 timeout 1h }}\n\t}}\n\n\
         \tchain ftp {{ # handle 5\n\t\ttcp dport 21 accept # handle 6\n\t\ttcp dport 50021 drop # handle 7\n\t}}\n\n\
         \tchain input {{ # handle 8\n\t\ttype filter hook input priority filter; policy {policy};\n{}\t}}\n}}\n",
        lines.concat()
    ));
    ruleset
}

/// What may drop the packet, and whether it may pass.
fn fate(ruleset: &Ruleset) -> (Vec<String>, bool) {
    let fate = ruleset.fate(&syn(), Way::Input);
    assert!(!fate.cut);
    (fate.drops.into_iter().map(|rule| rule.text).collect(), fate.may_pass)
}

/// Whether this condition of nft's holds: yes, no, or none of both.
fn holds(condition: &str) -> Option<bool> {
    let rule = format!("{condition} counter drop");
    match fate(&input(&rule, "accept")) {
        (drops, false) if drops == [rule.clone()] => Some(true),
        (drops, true) if drops == [rule] => None,
        (drops, true) if drops.is_empty() => Some(false),
        other => panic!("{condition}: {other:?}"),
    }
}

#[test]
fn conditions_of_nft() {
    for yes in [
        "ip saddr 10.1.0.2",
        "ip saddr 10.1.0.0/24 ip daddr != 10.2.0.0/16",
        "ip saddr { 10.0.0.1, 10.1.0.0-10.1.0.9 }",
        "tcp dport 50000-50100",
        "tcp dport != { 20, 21 }",
        "tcp dport @ports",
        "tcp flags syn",
        "tcp flags & (fin | syn | rst | ack) == syn",
        "tcp flags syn / fin,syn,rst,ack",
        "tcp flags != syn,ack / syn,ack",
        "meta l4proto tcp",
        "meta l4proto { tcp, udp } th dport 50021",
        "meta nfproto ipv4",
        "iifname != \"lo\"",
        "ct state new,untracked",
        "ct state { new, invalid }",
        "log prefix \"drop or accept \" level info",
    ] {
        assert_eq!(holds(yes), Some(true), "{yes}");
    }
    for no in [
        "ip saddr 10.1.0.0/31",
        "ip6 saddr ::/0",
        "ip6 saddr != ::1",
        "tcp dport 21",
        "tcp dport { 20, 21 }",
        "tcp dport != @ports",
        "udp dport 50021",
        "icmp type echo-request",
        "tcp flags & (syn | ack) == syn | ack",
        "tcp flags ack",
        "meta l4proto 17",
        "iif \"lo\"",
        "ct state established,related",
        "ct state != new",
        "tcp dport 21 limit rate 3/minute",
    ] {
        assert_eq!(holds(no), Some(false), "{no}");
    }
    for unknown in [
        "iifname \"eth0\"",
        "limit rate 3/minute",
        "meta mark 0x00000001",
        "ip saddr . tcp dport { 10.1.0.2 . 50021 }",
        "ct original ip saddr 10.9.9.9",
        "ct status dnat",
        "ip saddr @seen",
        "ip saddr @elsewhere",
        "tcp dport > 50000",
        "tcp flags == syn",
        "fib daddr type local",
    ] {
        assert_eq!(holds(unknown), None, "{unknown}");
    }
}

#[test]
fn verdicts_lead_where_the_kernel_leads() {
    let drop = || vec!["tcp dport 50021 drop".to_owned()];
    let policy = || vec!["policy drop".to_owned()];
    assert_eq!(fate(&input("", "drop")), (policy(), false));
    assert_eq!(fate(&input("ct state established accept", "drop")), (policy(), false));
    assert_eq!(fate(&input("tcp dport 50021 accept", "drop")), (vec![], true));
    assert_eq!(fate(&input("jump ftp", "accept")), (drop(), false));
    assert_eq!(fate(&input("goto ftp\naccept", "drop")), (drop(), false));
    assert_eq!(fate(&input("tcp dport vmap { 20 : accept, 50021 : goto ftp }", "accept")), (drop(), false));
    assert_eq!(fate(&input("return\ndrop", "accept")), (vec![], true));
    assert_eq!(fate(&input("limit rate 1/second return\naccept", "drop")), (policy(), true));
    assert_eq!(fate(&input("ct state vmap { established : accept, invalid : drop }", "accept")), (vec![], true));
    assert!(!fate(&input("counter tcp dport vmap @fates", "accept")).1);
    assert!(fate(&input("meta mark vmap { 0x1 : drop, 0x2 : accept }", "accept")).1);
    assert_eq!(fate(&input("queue to 1\ndrop", "accept")).0.len(), 2);
    let block = "tcp dport 1-60000 jump { tcp dport 21 accept; counter drop }";
    assert_eq!(fate(&input(block, "accept")), (vec![block.to_owned()], false));
    let passed = "tcp dport 50021 jump { tcp dport { 20, 21 } drop; return; drop }\naccept";
    assert_eq!(fate(&input(passed, "drop")), (vec![], true));
}

#[test]
fn a_chain_that_leads_to_itself_ends() {
    let mut ruleset = input("jump ftp", "accept");
    ruleset.tables[0].chains[0].rules[0].text = "jump ftp".to_owned();
    let fate = ruleset.fate(&syn(), Way::Input);
    assert!(fate.cut && fate.may_pass, "{fate:?}");
}

/// The answer to a client that a NAT hides comes to the NAT's address, and goes on to the client's.
#[test]
fn an_answer_goes_back_through_the_translation_of_its_connection() {
    let end = |ip: &str, port| End::from(Endpoint { ip: ip.parse().unwrap(), port });
    let rule = "ip daddr 10.1.0.2 tcp sport 21 counter drop";
    let mut ruleset = Ruleset::default();
    ruleset.add_nft(&format!(
        "table ip nat {{\n\tchain post {{\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n\t\tmasquerade\n\t}}\n}}\n\
         table inet filter {{\n\tchain forward {{\n\t\ttype filter hook forward priority filter; policy accept;\n\t\t{rule}\n\t}}\n}}\n"
    ));
    assert!(ruleset.translates());
    let (server, public, client) = (end("10.2.0.1", 21), end("192.0.2.1", 40000), end("10.1.0.2", 40000));
    let fate = |translated| {
        let flags = Flags::SYN | Flags::ACK;
        let states = States::ESTABLISHED;
        let answer = Packet { source: server, destination: public, flags, states, translated, ..syn() };
        let fate = ruleset.fate(&answer, Way::Forward);
        (fate.drops.into_iter().map(|rule| rule.text).collect::<Vec<_>>(), fate.may_pass, fate.ends)
    };
    let known = Some((server, client));
    assert_eq!(fate(known), (vec![rule.to_owned()], false, (server, client)));
    let unknown = (End::default(), End::default());
    assert_eq!(fate(Some(unknown)), (vec![rule.to_owned()], true, unknown), "it may be this one's, or another's");
    assert_eq!(fate(None), (vec![], true, (server, public)));
}

/// Saved by iptables-save, with these rules in INPUT.
fn saved(rules: &str) -> Ruleset {
    let mut ruleset = Ruleset::default();
    let saved = format!("*filter\n:INPUT ACCEPT [0:0]\n:FTP - [0:0]\n{rules}\nCOMMIT\n");
    ruleset.add_iptables_save(&saved, Family::Ip, Tool::IptablesLegacy);
    ruleset
}

#[test]
fn conditions_of_iptables() {
    let holds = |condition: &str| {
        let (drops, passes) = fate(&saved(&format!("[0:0] -A INPUT {condition} -j DROP")));
        (!drops.is_empty(), passes)
    };
    for yes in [
        "-s 10.1.0.0/24 -d 10.1.0.1/32 -p tcp",
        "! -s 10.2.0.0/16 ! -i lo",
        "-p tcp -m tcp --dport 50000: ! --sport 21",
        "-p tcp -m multiport --dports 20,21,50000:50100",
        "-p tcp -m multiport --ports 40000",
        "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN",
        "-p tcp -m tcp --syn",
        "-m conntrack --ctstate NEW,INVALID",
        "-m state ! --state RELATED,ESTABLISHED",
        "-m comment --comment \"no -j ACCEPT\"",
    ] {
        assert_eq!(holds(yes), (true, false), "{yes}");
    }
    for no in [
        "-s 10.1.0.0/31",
        "-i lo",
        "-p udp -m udp --dport 50021",
        "-p tcp -m tcp ! --syn",
        "-m limit --limit 3/min -p icmp",
    ] {
        assert_eq!(holds(no), (false, true), "{no}");
    }
    for unknown in [
        "-i eth0",
        "-i eth+",
        "-m limit --limit 3/min",
        "-m set --match-set bad src",
        "-m addrtype --dst-type LOCAL",
        "-s 10.1.0.2/255.0.0.255",
        "-m conntrack --ctstate DNAT",
        "-m socket",
    ] {
        assert_eq!(holds(unknown), (true, true), "{unknown}");
    }
}

#[test]
fn targets_of_iptables() {
    let of = |rules: &str| fate(&saved(rules));
    let jump = "[0:0] -A INPUT -p tcp -j FTP\n[0:0] -A FTP -p tcp -m tcp --dport 21 -j RETURN\n[0:0] -A FTP -j REJECT";
    assert_eq!(of(jump), (vec!["-A FTP -j REJECT".to_owned()], false));
    assert_eq!(of("[0:0] -A INPUT -g FTP\n[0:0] -A INPUT -j DROP"), (vec![], true));
    assert_eq!(of("[0:0] -A INPUT -j LOG --log-prefix \"x -j DROP\"").0.len(), 0);
    assert_eq!(
        of("[0:0] -A INPUT -j NFQUEUE --queue-num 1"),
        (vec!["-A INPUT -j NFQUEUE --queue-num 1".to_owned()], true)
    );
}

#[test]
fn every_table_on_the_way_is_asked_in_order() {
    let mut ruleset = input("tcp dport 50021 accept", "drop");
    ruleset.add_nft(
        "table ip nat {\n\tchain pre {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n\
         \t\ttcp dport 50021 dnat to 10.2.0.2\n\t}\n}\n\
         table ip late {\n\tchain input {\n\t\ttype filter hook input priority 10; policy accept;\n\t\tdrop\n\t}\n\
         \tchain forward {\n\t\ttype filter hook forward priority 0; policy accept;\n\t\tip daddr 10.2.0.2 drop\n\t}\n}\n\
         table ip6 never {\n\tchain input {\n\t\ttype filter hook input priority -10; policy drop;\n\t}\n}\n\
         table netdev maybe {\n\tchain in {\n\t\ttype filter hook ingress device \"eth0\" priority 0; policy accept;\n\
         \t\ttcp dport 50021 drop\n\t}\n}\n",
    );
    let fate = ruleset.fate(&syn(), Way::Input);
    let places: Vec<_> = fate.drops.iter().map(|rule| (&*rule.table, rule.hook)).collect();
    // translated: it may go on to another host, and its receiver is known no more
    assert_eq!(
        places,
        [
            ("maybe", Some(Hook::Ingress)),
            ("filter", Some(Hook::Input)),
            ("late", Some(Hook::Input)),
            ("late", Some(Hook::Forward))
        ]
    );
    assert!(fate.may_pass);
}

proptest! {
    #[test]
    fn no_rule_breaks_it(
        words in prop::collection::vec(prop::sample::select(vec![
            "tcp", "dport", "flags", "&", "(syn", "|", "ack)", "==", "!=", "{", "}", "@ports", "@fates", "vmap", "21", ":", "drop", "jump",
            "goto", "ftp", "ip", "saddr", "10.0.0.0/8", "10.0.0.0/99", "::/129", "ct", "state", "new", ";", "\"", "limit", "counter", "packets", "-A",
            "-j", "-g", "!", "-s", "--dport", "--tcp-flags", "-m", "/", "comment", "accept", "é", "reject", "0x0",
        ]), 0..12),
    ) {
        let text = words.join(" ");
        input(&text, "drop").fate(&syn(), Way::Input);
        saved(&format!("[0:0] -A INPUT {text}")).fate(&syn(), Way::Forward);
    }
}
