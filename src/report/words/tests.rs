#![allow(clippy::unwrap_used)]

use super::*;
use crate::cite::At;
use crate::line::{Owner, Place};
use crate::report::testing::{Talk, tap, verdict};
use crate::session::join::Session;
use crate::session::place::Placing;
use crate::session::place::{Standing, Why};
use crate::verdict::TapFacts;

const FROM_CLIENT: fn(usize) -> Stretch = |sight| Stretch { from: Point::Client, to: Point::Tap(sight) };
const FROM_SERVER: fn(usize) -> Stretch = |sight| Stretch { from: Point::Tap(sight), to: Point::Server };
const MIDDLE: Stretch = Stretch { from: Point::Tap(0), to: Point::Tap(1) };
const OUTSIDE: Stretch = Stretch { from: Point::Tap(1), to: Point::Tap(2) };

/// The active transfer, its data connection seen or not, on a line with taps at the client, in the middle, at the server.
struct Scene {
    session: Session,
    taps: Vec<TapFacts>,
}

impl Scene {
    fn new(seen: bool) -> Scene {
        let mut talk = Talk::active();
        if seen {
            talk.attempt();
        }
        let mut session = talk.session();
        for tap in 1..3 {
            let mut sight = Talk::new().session().sights.remove(0);
            sight.tap = tap;
            sight.view = None;
            session.sights.push(sight);
        }
        for (sight, place) in session.sights.iter_mut().zip([Place::Client, Place::Between, Place::Server]) {
            sight.standing = Standing { place, given: true, why: Why::Given };
        }
        let taps = [("c", 0), ("r", 1), ("s", 2)].map(|(name, capture)| TapFacts { capture, ..tap(name) });
        Scene { session, taps: taps.into() }
    }

    fn case(&self) -> Case<'_> {
        Case { session: &self.session, taps: &self.taps, transfer: Some(0) }
    }

    fn say(&self, verdict: &Verdict) -> String {
        summary(&self.case(), verdict).english()
    }

    fn place(mut self, sight: usize, place: Place, why: Why) -> Scene {
        self.session.sights[sight].standing = Standing { place, given: false, why };
        self
    }
}

fn seen(rule: &str, mechanism: Mechanism, lost: Lost, stretch: Stretch) -> String {
    Scene::new(true).say(&verdict(rule, mechanism, Some(lost), Some(stretch)))
}

#[test]
fn a_drop_names_all_that_may_have_dropped() {
    for (stretch, sentence) in [
        (FROM_CLIENT(0), "The client's own firewall dropped the server's data connection."),
        (
            FROM_CLIENT(1),
            "Something on the client's side of the capture point r dropped the server's data connection: the path, or the client's own firewall.",
        ),
        (
            FROM_CLIENT(2),
            "Something between the client and the capture point s dropped the server's data connection: the path, or the client's own firewall.",
        ),
        (MIDDLE, "A firewall or router between the capture points c and r dropped the server's data connection."),
        (
            FROM_SERVER(0),
            "Something between the capture point c and the server dropped the server's data connection: the path, or the server's own firewall.",
        ),
        (
            FROM_SERVER(1),
            "Something on the server's side of the capture point r dropped the server's data connection: the path, or the server's own firewall.",
        ),
        (FROM_SERVER(2), "The server's own firewall dropped the server's data connection."),
        (
            Stretch::WHOLE,
            "Something between the client and the server dropped the server's data connection: the path, or either end's own firewall.",
        ),
    ] {
        assert_eq!(seen("O5", Mechanism::SilentDrop, Lost::DataSyn, stretch), sentence);
    }
}

#[test]
fn what_was_lost_has_a_name() {
    for (lost, what) in [
        (Lost::ControlSyn, "the client's control connection"),
        (Lost::ControlSynAck, "the server's answer to the control connection"),
        (Lost::ControlSegments, "segments of the control connection"),
        (Lost::DataSyn, "the server's data connection"),
        (Lost::DataSynAck, "the client's answer to the data connection"),
        (Lost::DataSegments, "segments of the established data connection"),
    ] {
        let sentence = seen("O5", Mechanism::SilentDrop, lost, FROM_CLIENT(0));
        assert_eq!(sentence, format!("The client's own firewall dropped {what}."));
    }
}

#[test]
fn every_mechanism_has_a_sentence() {
    use Mechanism::*;
    for (rule, mechanism, lost, stretch, sentence) in [
        (
            "O2",
            IcmpReject,
            Lost::DataSyn,
            FROM_CLIENT(0),
            "The client's own firewall stopped the server's data connection, and the server gave up at once, as after a refusal.",
        ),
        (
            "O3",
            TcpReset,
            Lost::DataSyn,
            FROM_CLIENT(1),
            "Something on the client's side of the capture point r answered the server's data connection with a reset: a closed port, or a rule that rejects with tcp-reset.",
        ),
        (
            "O4",
            TcpReset,
            Lost::DataSyn,
            MIDDLE,
            "A firewall or router between the capture points c and r answered the server's data connection with a reset in the client's name, most likely by a rule that rejects with tcp-reset.",
        ),
        (
            "O6",
            TcpReset,
            Lost::DataSynAck,
            FROM_SERVER(2),
            "The server's own host reset the client's answer to the data connection: the server's program had given up, or a rule rejects with tcp-reset.",
        ),
        (
            "O1",
            NeverSent,
            Lost::DataSyn,
            FROM_SERVER(2),
            "The SYN of the server's data connection never got out: the server's own firewall stopped it, or its program did not try.",
        ),
        (
            "N1",
            UnreachableAddress,
            Lost::DataSyn,
            MIDDLE,
            "The client announces an address at which the server does not see it (172.16.0.99); the cause lies between the capture points c and r.",
        ),
        (
            "T1",
            Stalled,
            Lost::DataSegments,
            MIDDLE,
            "A firewall or router between the capture points c and r dropped segments of the established data connection.",
        ),
        (
            "T2",
            PathMtu,
            Lost::DataSegments,
            MIDDLE,
            "Full-size segments of the data connection vanished between the capture points c and r, after the handshake passed: the path MTU, most likely.",
        ),
        (
            "C7",
            IdleExpiry,
            Lost::ControlSegments,
            MIDDLE,
            "The control connection was most likely forgotten by a firewall or router between the capture points c and r, while it was silent and data ran: its segments are dropped since.",
        ),
        (
            "T3",
            Interrupted,
            Lost::DataSegments,
            FROM_SERVER(0),
            "The established data connection was broken by a reset from something between the capture point c and the server: the path, or the server's own host.",
        ),
        (
            "C14",
            Interrupted,
            Lost::ControlSegments,
            FROM_SERVER(2),
            "The established control connection was broken by a reset from the server's own host.",
        ),
    ] {
        assert_eq!(seen(rule, mechanism, lost, stretch), sentence);
    }
}

#[test]
fn where_nobody_is_to_blame_nobody_is_named() {
    use Mechanism::*;
    let scene = Scene::new(true);
    for (rule, mechanism, stretch, sentence) in [
        ("T6", RefusedByServer, None, "The server refuses the transfer itself. No firewall is to blame."),
        ("V1", IncompleteCapture, None, "The transfer went through; its data connection was not captured."),
        (
            "V6",
            IncompleteCapture,
            Some(Stretch::WHOLE),
            "The data connection is nowhere in the capture. Whose firewall is to blame, if any is, cannot be told.",
        ),
        (
            "V8",
            Encrypted,
            Some(Stretch::WHOLE),
            "The session is encrypted and shows no data connection. Whose firewall is to blame, if any is, cannot be told.",
        ),
        ("N6", UnreachableAddress, None, "The server announces an unreachable address, and the client ignores it."),
        (
            "T8",
            Stalled,
            None,
            "The data stop coming. The receiver's own program does not read; no firewall is to blame.",
        ),
        ("T3", Interrupted, None, "The established data connection is reset. Nobody on the path is to blame."),
    ] {
        assert_eq!(scene.say(&verdict(rule, mechanism, None, stretch)), sentence);
    }
}

#[test]
fn a_connection_that_was_never_seen_may_never_have_been_sent() {
    let scene = Scene::new(false);
    let say = |stretch| scene.say(&verdict("O1", Mechanism::SilentDrop, Some(Lost::DataSyn), Some(stretch)));
    assert_eq!(
        say(FROM_SERVER(0)),
        "Something between the capture point c and the server dropped the server's data connection: the path, the server's own firewall, or the server never sent it."
    );
    assert_eq!(
        say(MIDDLE),
        "A firewall or router between the capture points c and r dropped the server's data connection, or the server never sent it."
    );
}

#[test]
fn what_may_never_have_been_sent_is_said_to_be_so() {
    let mut possible = verdict("C10", Mechanism::IdleExpiry, Some(Lost::ControlSegments), Some(FROM_SERVER(0)));
    possible.finding.confidence = Confidence::Possible;
    assert_eq!(
        Scene::new(true).say(&possible),
        "The file went through, and the final reply never comes: the silent control connection was forgotten by something between the capture point c and the server, or nothing more was sent."
    );
    possible.finding.mechanism = Mechanism::Stalled;
    assert_eq!(
        Scene::new(true).say(&possible),
        "The file went through, and the final reply never comes: what should come was lost between the capture point c and the server, or never sent."
    );
}

#[test]
fn a_device_is_named_by_its_address() {
    let mut found = verdict("O2", Mechanism::IcmpReject, Some(Lost::DataSyn), Some(MIDDLE));
    found.finding.device = Some("10.0.0.1".parse().unwrap());
    let scene = Scene::new(true);
    assert_eq!(
        scene.say(&found),
        "10.0.0.1, between the capture points c and r, refused the server's data connection with an ICMP error."
    );
    found.finding.owner = Some(Owner::Client);
    assert_eq!(
        scene.say(&found),
        "The client's own host (10.0.0.1) refused the server's data connection with an ICMP error."
    );
}

#[test]
fn a_host_may_refuse_its_own_connection() {
    for mechanism in [Mechanism::IcmpReject, Mechanism::TcpReset] {
        assert_eq!(
            seen("O7", mechanism, Lost::DataSyn, FROM_SERVER(2)),
            "The server's own host refused to let the server's data connection out."
        );
        assert_eq!(
            seen("C6", mechanism, Lost::ControlSyn, FROM_CLIENT(0)),
            "The client's own host refused to let the client's control connection out."
        );
    }
}

#[test]
fn what_a_servers_host_drops_need_not_be_lost_to_its_firewall() {
    let mut found = verdict("C1", Mechanism::SilentDrop, Some(Lost::ControlSyn), Some(FROM_SERVER(2)));
    assert_eq!(
        Scene::new(true).say(&found),
        "The server's own host dropped the client's control connection: its firewall, most likely; a full accept queue of its program looks the same."
    );
    found.finding.passes_rules = true;
    assert_eq!(Scene::new(true).say(&found), "The server's own host dropped the client's control connection.");
}

#[test]
fn a_syn_that_only_a_socket_tells_of_may_have_left() {
    assert_eq!(
        seen("C16", Mechanism::NeverSent, Lost::ControlSyn, Stretch::WHOLE),
        "No interface of the client's own host shows the client's control connection: something on that host drops it, or an IPsec policy hides what is lost on its way."
    );
    assert_eq!(
        seen("C16", Mechanism::NeverSent, Lost::ControlSyn, FROM_CLIENT(0)),
        "The client's own firewall did not let the client's control connection out."
    );
}

#[test]
fn a_host_that_finds_no_next_hop_refuses_nothing() {
    let scene = Scene::new(true);
    for (rule, side, lost, sentence) in [
        ("C2", Side::Client, Lost::ControlSyn, "could not send the client's control connection to its next hop."),
        (
            "C5",
            Side::Server,
            Lost::ControlSynAck,
            "could not send the server's answer to the control connection to its next hop.",
        ),
    ] {
        let mut found = verdict(rule, Mechanism::IcmpReject, Some(lost), Some(Stretch::WHOLE));
        let device = scene.case().address(0, side).unwrap();
        found.finding.device = Some(device);
        let host = format!("The {}'s own host ({device}) says that it {sentence}", end(side).english());
        assert_eq!(scene.say(&found), host);
    }
}

#[test]
fn untouched_ttls_tell_a_link_and_no_host() {
    let scene = Scene::new(true).place(2, Place::Server, Why::Ttl { client: 62, server: 64 });
    let say = |mechanism| scene.say(&verdict("O5", mechanism, Some(Lost::DataSyn), Some(FROM_SERVER(2))));
    assert_eq!(
        say(Mechanism::SilentDrop),
        "The server's own firewall, or a box on its own link, dropped the server's data connection."
    );
    assert_eq!(
        say(Mechanism::NeverSent),
        "The SYN of the server's data connection never got out: the server's own firewall stopped it, a box on its own link dropped it, or its program did not try."
    );
    let outgoing = Scene::new(true).place(2, Place::Server, Why::Direction(Side::Server));
    let found = verdict("O5", Mechanism::SilentDrop, Some(Lost::DataSyn), Some(FROM_SERVER(2)));
    assert_eq!(outgoing.say(&found), "The server's own firewall dropped the server's data connection.");
}

#[test]
fn an_unknown_tap_is_a_capture_point() {
    let scene = Scene::new(true).place(1, Place::Unknown, Why::OneEnd);
    assert_eq!(
        scene.say(&verdict("O5", Mechanism::SilentDrop, Some(Lost::DataSyn), Some(FROM_CLIENT(1)))),
        "Something on the client's side of the capture point r dropped the server's data connection: the path, or the client's own firewall."
    );
}

#[test]
fn the_two_legs_of_a_router_are_one_box() {
    let mut scene = Scene::new(true);
    scene.taps[1].capture = 7;
    scene.taps[2].capture = 7;
    assert_eq!(
        scene.say(&verdict("O5", Mechanism::SilentDrop, Some(Lost::DataSyn), Some(OUTSIDE))),
        "The box on which r was captured dropped the server's data connection."
    );
}

/// What the program promises, for every sentence that can be made: a host that lies outside the stretch is never
/// accused, and one host alone is accused only if the stretch is that host.
#[test]
fn no_sentence_claims_more_than_its_stretch() {
    use Mechanism::*;
    let accusing = [SilentDrop, IcmpReject, TcpReset, Stalled, PathMtu, IdleExpiry, Interrupted];
    let stretches: Vec<Stretch> =
        (0..3).flat_map(|tap| [FROM_CLIENT(tap), FROM_SERVER(tap)]).chain([MIDDLE, OUTSIDE, Stretch::WHOLE]).collect();
    let lost = [Lost::ControlSyn, Lost::ControlSynAck, Lost::ControlSegments, Lost::DataSynAck, Lost::DataSegments];
    let is_own = |sentence: &str, side| {
        ["firewall", "host"].iter().any(|own| sentence.contains(&format!("{}'s own {own}", end(side).english())))
    };
    for (seen, mechanism) in [true, false].into_iter().flat_map(|seen| accusing.map(|mechanism| (seen, mechanism))) {
        for (stretch, lost) in stretches.iter().flat_map(|&stretch| lost.map(|lost| (stretch, lost))) {
            let sentence = Scene::new(seen).say(&verdict("T1", mechanism, Some(lost), Some(stretch)));
            assert!(stretch.from == Point::Client || !is_own(&sentence, Side::Client), "{stretch:?}: {sentence}");
            assert!(stretch.to == Point::Server || !is_own(&sentence, Side::Server), "{stretch:?}: {sentence}");
            let alone = ["The client's own", "The server's own"].iter().any(|start| sentence.starts_with(start));
            assert!(!alone || [FROM_CLIENT(0), FROM_SERVER(2)].contains(&stretch), "{stretch:?}: {sentence}");
        }
    }
}

#[test]
fn inferred_places_are_told_with_their_reason() {
    let say = |place, why| standing("x", &Standing { place, given: false, why }).english();
    assert_eq!(
        say(Place::Server, Why::Ttl { client: 63, server: 64 }),
        "x seems to stand on the server's own host or link: the server's packets come untouched (TTL 64), the client's over 1 router"
    );
    assert_eq!(
        say(Place::Client, Why::Direction(Side::Client)),
        "x seems to stand on the client's own host: the client's packets are outgoing here, the server's incoming"
    );
    assert_eq!(say(Place::Unknown, Why::OneEnd), "where x stands is unknown: only one end's packets were captured");
}

#[test]
fn the_places_of_a_session_are_not_forgotten() {
    let session = Session::of_one(Talk::active().view, 0, &Placing::Open);
    let taps = [tap("x.pcap")];
    let names = Names::of(Case { session: &session, taps: &taps, transfer: None });
    assert_eq!((names.point(Point::Client), names.point(Point::Tap(0)), names.tap(9)), ("client", "x.pcap", "capture"));
    assert_eq!(names.place(0), Place::Unknown);
}

#[test]
fn frames_of_rotated_captures_are_told_with_their_file() {
    let session = Talk::active().session();
    let mut taps = [tap("x1.pcap")];
    let at = At { file: 1, ..At::default() };
    let names = |taps: &[TapFacts]| Names::of(Case { session: &session, taps, transfer: None }).file(0, at).to_owned();
    assert_eq!(names(&taps), "x1.pcap");
    taps[0].files.push("x2.pcap".to_owned());
    assert_eq!(names(&taps), "x2.pcap");
}
