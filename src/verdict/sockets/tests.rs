use std::sync::Arc;

use crate::cite::{At, Time};
use crate::line::{Owner, Place, Point, Stretch};
use crate::netfilter::ruleset::Ruleset;
use crate::netfilter::socket::{Socket, State};
use crate::netfilter::{Family, Tool};
use crate::packet::{Endpoint, Flags, Packet, Segment};
use crate::session::join::join;
use crate::session::place::Placing;
use crate::session::tracker::{Config, Leg, Tracker};
use crate::verdict::{Host, Listing, TapFacts, Verdict, judge};

const SECOND: i64 = 1_000_000_000;
const DROP: &str = "-A OUTPUT -p tcp -m tcp --dport 21 -j DROP";

fn ends() -> (Endpoint, Endpoint) {
    (Endpoint { ip: [10, 1, 0, 2].into(), port: 40_000 }, Endpoint { ip: [10, 1, 0, 1].into(), port: 21 })
}

fn tracker() -> Tracker {
    Tracker::new(Config { control_ports: vec![21], passive_range: None, leg: Leg::Both, sampled: true })
}

/// What is said of the only session of a tap at this place.
fn said(mut tracker: Tracker, place: Place, facts: TapFacts) -> Verdict {
    tracker.finish();
    let views = std::iter::from_fn(|| tracker.poll()).collect();
    let session = join(vec![views], &[Placing::Given(place)]).remove(0);
    let facts = TapFacts { census: tracker.census(), ..facts };
    judge(&session, &[facts]).control.1.expect("a session that failed")
}

fn socket(state: State, local: Endpoint, remote: Endpoint) -> Socket {
    Socket { state, local, remote, retransmits: 5, receive_queue: 2, send_queue: 1, uid: 0 }
}

/// Rules of OUTPUT, with a drop and what it had counted before and after, if there is one.
fn lists(counted: Option<[u64; 2]>) -> Vec<Listing> {
    let listing = |second, which: usize| {
        let drop = counted.map_or_else(String::new, |counted| format!("[{}:0] {DROP}\n", counted[which]));
        let text = format!("*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{drop}COMMIT\n");
        let mut ruleset = Ruleset::default();
        ruleset.add_iptables_save(&text, Family::Ip, Tool::IptablesLegacy);
        Listing { since: Time(second * SECOND), until: Time(second * SECOND), rules: Arc::new(ruleset) }
    };
    vec![listing(1, 0), listing(20, 1)]
}

/// A SYN that no interface shows, on a host with these rules.
fn unseen(lists: Vec<Listing>) -> Verdict {
    let (client, server) = ends();
    let mut tracker = tracker();
    tracker.tried(client, server, At { time: Time(10 * SECOND), ..At::default() });
    let trying = vec![(Time(11 * SECOND), socket(State::SynSent, client, server))];
    let host = Some(Arc::new(Host { lists, ..Host::default() }));
    said(tracker, Place::Client, TapFacts { trying, host, ..TapFacts::default() })
}

#[test]
fn a_syn_that_no_interface_shows_is_this_hosts_only_where_its_rules_drop_it() {
    for lists in [Vec::new(), lists(None), lists(Some([6, 6]))] {
        let verdict = unseen(lists);
        assert_eq!((verdict.rule.id, verdict.finding.stretch), ("C16", Some(Stretch::WHOLE)));
        assert_eq!((verdict.owner, verdict.netfilter), (Owner::Unknown, None));
    }
    let verdict = unseen(lists(Some([0, 6])));
    assert_eq!(verdict.finding.stretch, Some(Stretch { from: Point::Client, to: Point::Tap(0) }));
    assert_eq!(verdict.owner, Owner::Client);
    let named = verdict.netfilter.expect("nothing else can become of it");
    assert_eq!(named.rule.text, DROP);
}

/// A SYN that is sent for seven seconds and never answered, on the server's host, whose accept queue was full at these seconds.
fn unanswered(full: &[i64]) -> Verdict {
    let (client, server) = ends();
    let mut tracker = tracker();
    for (second, frame) in (10..18).zip(1..) {
        let segment = Segment {
            at: At { time: Time(second * SECOND), frame, file: 0 },
            interface: 0,
            direction: None,
            source: client,
            destination: server,
            ttl: 64,
            ip_id: 0,
            seq: 1000,
            ack: 0,
            flags: Flags::SYN,
            window: 64_000,
            urgent: 0,
            options: &[],
            text: &[],
            text_len: 0,
            checkable: None,
        };
        tracker.advance(segment.at.time);
        tracker.observe(&Packet::Segment(segment));
    }
    let any = Endpoint { ip: [0; 4].into(), port: 0 };
    let listener = socket(State::Listen, Endpoint { port: 21, ..any }, any);
    let full = full.iter().map(|second| (Time(second * SECOND), listener)).collect();
    said(tracker, Place::Server, TapFacts { full, ..TapFacts::default() })
}

#[test]
fn a_queue_that_was_full_from_the_first_syn_to_the_last_drops_them() {
    for (full, rule) in [(&[10, 14, 17][..], "C17"), (&[14], "C1"), (&[10], "C1"), (&[17], "C1"), (&[], "C1")] {
        let verdict = unanswered(full);
        assert_eq!(verdict.rule.id, rule, "{full:?}");
        assert_eq!(verdict.finding.stretch, Some(Stretch { from: Point::Tap(0), to: Point::Server }), "{full:?}");
    }
}
