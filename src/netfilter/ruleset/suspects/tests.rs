use super::super::super::Tool;
use super::super::terms::Through;
use super::*;
use crate::packet::Flags;

const PROBE: Probe<'_> = Probe {
    addresses: Some((
        std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 2)),
        std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 1)),
    )),
    v6: false,
    source_port: Some(40100),
    destination_port: Some(50021),
    flags: Flags::SYN,
    may_be_related: false,
    inbound: Through::Interface("eth0"),
    outbound: Through::None,
};

/// A chain at the input hook; `N` in a rule is what it counted.
fn nft(rules: &[&str], policy: &str, counted: &[u64]) -> Ruleset {
    let last = counted.last().copied().unwrap_or(0);
    let mut counted = counted.iter();
    let rules = rules.iter().enumerate().map(|(index, rule)| {
        let counter = |n: &u64| format!("counter packets {n} bytes 0");
        let rule = if rule.contains('N') {
            rule.replace('N', &counter(counted.next().expect("a count")))
        } else {
            (*rule).to_owned()
        };
        format!("\t\t{rule} # handle {}\n", index + 2)
    });
    let mut ruleset = Ruleset::default();
    ruleset.add_nft(&format!(
        "table inet f {{ # handle 1\n\tchain sub {{ # handle 90\n\t\ttcp dport 21 return # handle 91\n\t\tcounter packets {} bytes 0 drop # handle 92\n\t}}\n\
         \tchain input {{ # handle 1\n\t\ttype filter hook input priority filter; policy {policy};\n{}\t}}\n}}\n",
        last,
        rules.collect::<String>()
    ));
    ruleset
}

/// The rule that is convicted of the SYN, by its text, with what it counted.
fn convicted(before: &Ruleset, after: &Ruleset) -> Option<(String, u64)> {
    let suspects = Suspects::of(before, after, &PROBE, &[Hook::Prerouting, Hook::Input]);
    let (rule, counted) = Suspects::convicted([&suspects].into_iter())?;
    assert!(suspects.include(rule));
    Some((rule.text.clone(), counted))
}

fn told(rules: &[&str], policy: &str, before: &[u64], after: &[u64]) -> Option<(String, u64)> {
    convicted(&nft(rules, policy, before), &nft(rules, policy, after))
}

#[test]
fn the_only_rule_that_counted_it() {
    let found = |text: &str, counted| Some((text.to_owned(), counted));
    let port = "tcp dport 50021 N drop";
    let one = "tcp dport 50021 counter drop";
    assert_eq!(told(&["ct state established,related accept", port], "accept", &[3], &[7]), found(one, 4));
    assert_eq!(told(&[port], "drop", &[3], &[7]), found(one, 4), "the policy is not reached");
    assert_eq!(told(&["tcp dport 22 drop", port], "accept", &[0], &[1]), found(one, 1), "that is another port");
    assert_eq!(told(&["tcp dport @x N drop", port], "accept", &[5, 0], &[5, 4]), found(one, 4), "that counted nothing");
    assert_eq!(told(&["jump sub", "counter N"], "accept", &[2], &[4]), found("counter drop", 2), "in another chain");
    assert_eq!(told(&["tcp dport @x N accept", port], "accept", &[5, 0], &[5, 4]), found(one, 4), "nor did that");
}

#[test]
fn what_leaves_another_convicts_none() {
    /// Rules, policy, what they counted before and after.
    type Row = (&'static [&'static str], &'static str, &'static [u64], &'static [u64]);
    const PORT: &str = "tcp dport 50021 N drop";
    const NONE: &[Row] = &[
        (&[PORT], "accept", &[4], &[4]),
        (&["tcp dport @x drop", PORT], "accept", &[0], &[4]),
        (&["tcp dport @x N drop", PORT], "accept", &[0, 0], &[4, 4]),
        (&["tcp dport @x N drop"], "accept", &[0], &[4]),
        (&["tcp dport vmap @x", PORT], "accept", &[0], &[4]),
        (&["limit rate 1/second N drop"], "drop", &[0], &[4]),
        (&["tcp dport 50021 accept", PORT], "accept", &[0], &[4]),
        (&["tcp dport @x accept", PORT], "accept", &[0], &[4]),
        (&["tcp dport @x return", PORT], "accept", &[0], &[4]),
        (&["tcp dport @x goto sub", PORT], "accept", &[0], &[4]),
        (&["tcp dport @x jump sub"], "accept", &[2], &[4]),
        (&["tcp dport @x jump sub", PORT], "accept", &[0], &[4]),
        (&["tcp dport @x N accept", PORT], "accept", &[0, 0], &[1, 4]),
        (&["tcp dport 50021 drop"], "accept", &[], &[]),
        (&[], "drop", &[], &[]),
        (&[PORT], "accept", &[9], &[4]),
    ];
    for (rules, policy, before, after) in NONE {
        assert_eq!(told(rules, policy, before, after), None, "{rules:?} {policy} {before:?} {after:?}");
    }
    let other = nft(&["tcp dport 22 N drop"], "accept", &[3]);
    assert_eq!(convicted(&other, &nft(&[PORT], "accept", &[7])), None, "the handle was another rule's");
    assert_eq!(convicted(&Ruleset::default(), &nft(&[PORT], "accept", &[7])), None, "it is new");
}

#[test]
fn policies_of_iptables_count() {
    let saved = |policy: u64, rule: u64| {
        let mut ruleset = Ruleset::default();
        let text = format!(
            "*filter\n:INPUT DROP [{policy}:0]\n:FTP - [0:0]\n[9:9] -A INPUT -m state --state ESTABLISHED -j ACCEPT\n\
             [{rule}:0] -A INPUT -p tcp -m tcp --dport 50000:50100 -m limit --limit 1/sec -j DROP\nCOMMIT\n"
        );
        ruleset.add_iptables_save(&text, Family::Ip, Tool::IptablesLegacy);
        ruleset
    };
    assert_eq!(convicted(&saved(1, 0), &saved(5, 0)), Some(("-P INPUT DROP".to_owned(), 4)));
    assert_eq!(convicted(&saved(1, 0), &saved(5, 1)), None);
}

#[test]
fn chains_without_end_end() {
    let chain = |name: &str, to: &str| {
        format!("\tchain {name} {{ # handle 1\n\t\tjump {to} # handle 2\n\t\tjump {to} # handle 3\n\t}}\n")
    };
    let links = (0..40).map(|n| chain(&format!("c{n}"), &format!("c{}", (n + 1) % 40))).collect::<String>();
    let mut ruleset = Ruleset::default();
    ruleset.add_nft(&format!(
        "table inet f {{ # handle 1\n{links}\tchain input {{ # handle 1\n\t\ttype filter hook input priority filter; policy accept;\n\
         \t\tjump c0 # handle 4\n\t\tcounter packets 1 bytes 1 drop # handle 5\n\t}}\n}}\n"
    ));
    assert_eq!(convicted(&ruleset, &ruleset), None);
}

#[test]
fn what_drops_nothing_at_all() {
    assert!(Ruleset::default().drops_nothing());
    assert!(
        !nft(&["tcp dport 21 counter accept", "log", "return"], "accept", &[]).drops_nothing(),
        "the other chain drops"
    );
    let open = |rule: &str, policy: &str| {
        let mut ruleset = Ruleset::default();
        ruleset.add_iptables_save(
            &format!("*filter\n:INPUT {policy} [0:0]\n:FTP - [0:0]\n[0:0] -A INPUT {rule}\nCOMMIT\n"),
            Family::Ip,
            Tool::IptablesLegacy,
        );
        ruleset.drops_nothing()
    };
    for (rule, policy, is_open) in [
        ("-j ACCEPT", "ACCEPT", true),
        ("-j FTP", "ACCEPT", true),
        ("-j LOG", "ACCEPT", true),
        ("-j ACCEPT", "DROP", false),
        ("-j DROP", "ACCEPT", false),
        ("-j NFQUEUE --queue-num 1", "ACCEPT", false),
        ("-j NOWHERE", "ACCEPT", false),
    ] {
        assert_eq!(open(rule, policy), is_open, "{rule} {policy}");
    }
}
