use super::*;
use crate::language::say;
use crate::netfilter::{Family, Tool};
use crate::packet::Endpoint;

const NONE: &[(&str, u64)] = &[];

/// A SYN that came in at 100, twice, and was answered by nothing.
fn loss() -> Loss {
    let end = |ip: [u8; 4], port| Endpoint { ip: ip.into(), port }.into();
    Loss {
        sight: 0,
        way: Way::Input,
        what: say!("the SYN to port {port}", port = 50000),
        began: Time(100),
        times: Some(2),
        was_sent: true,
        is_answerable: true,
        has_passed: false,
        is_data: true,
        is_long: false,
        cited: Some((At::default(), None)),
        v6: false,
        source: end([10, 1, 0, 2], 40000),
        destination: end([10, 1, 0, 1], 50021),
        flags: Flags::SYN,
        translated: None,
    }
}

/// Rules of INPUT with what each counted, and the policy; listed within a time.
fn listing((since, until): (i64, i64), policy: &str, rules: &[(&str, u64)]) -> Listing {
    let lines: String = rules.iter().map(|(rule, packets)| format!("[{packets}:0] -A {rule}\n")).collect();
    let text = format!("*filter\n:INPUT {policy} [0:0]\n:OUTPUT ACCEPT [0:0]\n{lines}COMMIT\n");
    let mut ruleset = Ruleset::default();
    ruleset.add_iptables_save(&text, Family::Ip, Tool::IptablesLegacy);
    Listing { since: Time(since), until: Time(until), rules: Arc::new(ruleset) }
}

/// What is asked of the rules before and after, by the same rules with other counters.
fn asked(policy: &str, before: &[(&str, u64)], after: &[(&str, u64)], mechanism: Mechanism) -> Inquiry {
    let lists = vec![listing((1, 50), policy, before), listing((200, 250), policy, after)];
    inquire(&Host { lists, ..Host::default() }, &loss(), mechanism).expect("there are lists")
}

fn culprit(inquiry: &Inquiry) -> Option<(&str, Witness)> {
    inquiry.culprit(&loss()).map(|(rule, from)| (&*rule.text, from))
}

#[test]
fn a_policy_that_leaves_nothing_else_is_named_by_the_rules() {
    let inquiry = asked("DROP", NONE, NONE, Mechanism::SilentDrop);
    assert_eq!(culprit(&inquiry), Some(("-P INPUT DROP", Witness::Ruleset)));
    assert!(inquiry.is_sure());
    let unsent = Loss { was_sent: false, ..loss() };
    assert_eq!(inquiry.culprit(&unsent), None, "the program may never have tried");
}

#[test]
fn a_counter_that_rose_names_its_rule_and_one_that_did_not_clears_it() {
    let rules = |one, other| [("INPUT -m limit --limit 1/s -j DROP", one), ("INPUT -p tcp -j REJECT", other)];
    let moved = asked("ACCEPT", &rules(7, 3), &rules(7, 5), Mechanism::SilentDrop);
    assert_eq!(culprit(&moved), Some(("-A INPUT -p tcp -j REJECT", Witness::Counter)));
    let both = asked("ACCEPT", &rules(7, 3), &rules(8, 4), Mechanism::SilentDrop);
    assert_eq!((culprit(&both), both.suspects.len()), (None, 2));
    assert!(
        both.suspicion(&loss()).english().contains("by the rules one of these drops it: rule 1 of the chain INPUT")
    );
    let refused = asked("ACCEPT", &rules(7, 3), &rules(8, 4), Mechanism::IcmpReject);
    assert_eq!(culprit(&refused), Some(("-A INPUT -p tcp -j REJECT", Witness::Counter)));
}

#[test]
fn a_rule_that_only_may_match_must_have_counted_just_what_was_sent() {
    let rules = |packets| [("INPUT -m set --match-set bad src -j DROP", packets)];
    let of = |packets| asked("ACCEPT", &rules(0), &rules(packets), Mechanism::SilentDrop);
    assert_eq!(culprit(&of(2)), Some(("-A INPUT -m set --match-set bad src -j DROP", Witness::Counter)));
    assert!(!of(2).is_sure());
    for others in [1, 3] {
        assert_eq!(culprit(&of(others)), None, "{others}");
    }
    assert!(of(0).suspicion(&loss()).english().ends_with("what of the rules may drop it has counted nothing"));
}

#[test]
fn the_answer_may_be_what_is_dropped() {
    let rules = |packets| [("OUTPUT -p tcp -m tcp --sport 50021 -j DROP", packets)];
    let inquiry = asked("ACCEPT", &rules(0), &rules(4), Mechanism::SilentDrop);
    let (rule, from) = inquiry.culprit(&loss()).expect("nothing else can be");
    assert_eq!((rule.hook, from), (Some(Hook::Output), Witness::Counter));
    assert_eq!(loss().lost_by(rule, Some(Lost::DataSyn)), Some(Lost::DataSynAck));
    assert!(
        inquiry
            .accusation(&loss(), rule, from)
            .english()
            .contains("drops the answer to the SYN to port 50000: its counter rose by 4")
    );
}

#[test]
fn of_a_packet_that_has_passed_only_the_answer_can_be_dropped() {
    let rules =
        |input, output| [("INPUT -m set --match-set bad src -j DROP", input), ("OUTPUT -p tcp -j DROP", output)];
    let lists = vec![listing((1, 50), "ACCEPT", &rules(0, 0)), listing((200, 250), "ACCEPT", &rules(2, 3))];
    let host = Host { lists, ..Host::default() };
    let passed = Loss { has_passed: true, ..loss() };
    let culprit = |lost: &Loss| {
        let inquiry = inquire(&host, lost, Mechanism::SilentDrop).expect("there are lists");
        inquiry.culprit(lost).map(|(rule, _)| rule.text.clone())
    };
    assert_eq!(culprit(&loss()), None, "it is one of two");
    assert_eq!(culprit(&passed).as_deref(), Some("-A OUTPUT -p tcp -j DROP"));
}

/// As a ban does that comes in mid-session.
#[test]
fn a_rule_that_was_added_meanwhile_is_named_if_it_counted_just_what_was_lost() {
    let of = |packets| asked("ACCEPT", NONE, &[("INPUT -s 10.1.0.2/32 -j DROP", packets)], Mechanism::Stalled);
    assert_eq!(culprit(&of(2)), Some(("-A INPUT -s 10.1.0.2/32 -j DROP", Witness::Counter)));
    for others in [0, 3] {
        let inquiry = of(others);
        assert_eq!((culprit(&inquiry), inquiry.suspects.len(), inquiry.is_sure()), (None, 1, false), "{others}");
    }
}

#[test]
fn a_segment_that_a_reset_answered_was_not_dropped_in_silence() {
    let segment = Loss { flags: Flags::ACK, is_answerable: false, ..loss() };
    let rules = |silent, reset| {
        [
            ("INPUT -p tcp -m string --algo bm --string \"PORT \" -j DROP", silent),
            ("INPUT -p tcp -m string --algo bm --string \"AUTH \" -j REJECT --reject-with tcp-reset", reset),
        ]
    };
    let lists = vec![listing((1, 50), "ACCEPT", &rules(0, 0)), listing((200, 250), "ACCEPT", &rules(2, 2))];
    let host = Host { lists, ..Host::default() };
    let of = |mechanism| inquire(&host, &segment, mechanism).expect("there are lists");
    let (reset, silent) = (of(Mechanism::Interrupted), of(Mechanism::Stalled));
    let rejects = reset.culprit(&segment).map(|(rule, from)| (rule.rejects(), from));
    assert_eq!((rejects, silent.culprit(&segment)), (Some((true, Witness::Counter)), None));
    let of_data = Loss { times: None, ..segment };
    assert_eq!(reset.culprit(&of_data), None, "nobody knows how often it was sent");
}

#[test]
fn counters_say_nothing_without_a_list_of_before() {
    let rules = [("INPUT -p tcp -j DROP", 3)];
    let late = vec![listing((110, 150), "ACCEPT", &rules), listing((200, 250), "ACCEPT", &rules)];
    let inquiry =
        inquire(&Host { lists: late, ..Host::default() }, &loss(), Mechanism::SilentDrop).expect("there are lists");
    assert_eq!(culprit(&inquiry), Some(("-A INPUT -p tcp -j DROP", Witness::Ruleset)));
    let early = vec![listing((1, 50), "ACCEPT", &rules)];
    let inquiry =
        inquire(&Host { lists: early, ..Host::default() }, &loss(), Mechanism::SilentDrop).expect("there is a list");
    assert_eq!(culprit(&inquiry), Some(("-A INPUT -p tcp -j DROP", Witness::Ruleset)));
    assert!(inquire(&Host::default(), &loss(), Mechanism::SilentDrop).is_none());
}

#[test]
fn rules_that_changed_meanwhile_are_all_suspects() {
    let lists = vec![
        listing((1, 50), "ACCEPT", &[("INPUT -p tcp -j DROP", 0)]),
        listing((200, 250), "ACCEPT", &[("INPUT -p tcp -j ACCEPT", 0)]),
    ];
    let inquiry = inquire(&Host { lists, ..Host::default() }, &loss(), Mechanism::SilentDrop).expect("there are lists");
    assert_eq!((culprit(&inquiry), inquiry.suspects.len()), (None, 1));
}

#[test]
fn related_lets_nothing_pass_where_no_helper_is_assigned() {
    let rules = [("INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", 0)];
    let inquiry = asked("DROP", &rules, &rules, Mechanism::SilentDrop);
    assert_eq!(culprit(&inquiry), Some(("-P INPUT DROP", Witness::Ruleset)));
    assert!(inquiry.unrelated(&loss()).is_some());
    let assigned = [rules[0], ("INPUT -p tcp --dport 21 -j CT --helper ftp", 0)];
    let inquiry = asked("DROP", &assigned, &assigned, Mechanism::SilentDrop);
    assert_eq!((culprit(&inquiry), inquiry.unrelated(&loss())), (None, None));
}
