//! Every way in which the opening of a connection can fail, seen from every set of taps.
//!
//! Up to five taps on a line; the server, or the client, opens a data connection, or the client the control connection;
//! one leg of the handshake is lost at one place, for good. Packets go through real trackers; what is named must be the
//! smallest stretch that holds all places which look alike from these taps, whatever is lost there. (Of the 1,926 such
//! openings of data connections, 126 have no tap to look from.) And if one of the captures ends too early, what is named
//! must still hold the true place.

use std::net::IpAddr;

use ftpwhy::cite::{At, Time};
use ftpwhy::line::{Place, Point, Side};
use ftpwhy::packet::{Endpoint, Flags, Packet, Segment};
use ftpwhy::session::join::join;
use ftpwhy::session::place::Placing;
use ftpwhy::session::tracker::{Config, Leg, Tracker};
use ftpwhy::verdict::{TapFacts, judge};

/// The most taps on a line.
const MOST: usize = 5;

/// Which connection fails to open, and who opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Control,
    Passive,
    Active,
}

/// The legs of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Syn,
    SynAck,
    Ack,
}

const LEGS: [Lost; 3] = [Lost::Syn, Lost::SynAck, Lost::Ack];

/// A leg that is lost between the points `place` and `place + 1`: 0 is the client, then come the taps, then the server.
#[derive(Clone, Copy, Debug)]
struct Loss {
    leg: Lost,
    place: usize,
}

impl Opening {
    fn opener(self) -> Side {
        if self == Opening::Active { Side::Server } else { Side::Client }
    }

    /// Which way a leg goes.
    fn toward(self, leg: Lost) -> Side {
        if leg == Lost::SynAck { self.opener() } else { !self.opener() }
    }

    /// Which legs a tap sees.
    fn seen(self, loss: Loss, tap: usize) -> [bool; 3] {
        let before = match self.toward(loss.leg) {
            Side::Server => tap <= loss.place,
            Side::Client => tap > loss.place,
        };
        LEGS.map(|leg| (leg as usize) < loss.leg as usize || leg == loss.leg && before)
    }
}

/// Packets at one tap.
struct Tap {
    tracker: Tracker,
    frame: u32,
    /// The capture ends before this millisecond.
    end: i64,
}

/// A packet on its way.
struct Way {
    data: bool,
    toward: Side,
    flags: Flags,
    numbers: [u32; 2],
}

fn ends(opening: Opening, data: bool) -> [Endpoint; 2] {
    let [client, server] = [[10, 0, 0, 1], [192, 0, 2, 1]].map(IpAddr::from);
    let (client_port, server_port) = match (data, opening) {
        (false, _) => (40_000, 21),
        (true, Opening::Active) => (40_001, 20),
        (true, _) => (40_001, 50_000),
    };
    [Endpoint { ip: client, port: client_port }, Endpoint { ip: server, port: server_port }]
}

impl Tap {
    fn new(end: Option<i64>) -> Tap {
        let config = Config { control_ports: vec![21], passive_range: None, leg: Leg::Both, sampled: false };
        let mut tap = Tap { tracker: Tracker::new(config), frame: 0, end: end.unwrap_or(i64::MAX) };
        tap.other(0);
        tap
    }

    /// Something that has nothing to do with it: the capture has no filter.
    fn other(&mut self, millis: i64) {
        if millis >= self.end {
            return;
        }
        self.frame += 1;
        self.tracker.advance(moment(millis));
        self.tracker.observe(&Packet::Other);
    }

    fn packet(&mut self, opening: Opening, millis: i64, way: &Way, text: &str) {
        if millis >= self.end {
            return;
        }
        self.frame += 1;
        let [client, server] = ends(opening, way.data);
        let (source, destination) = if way.toward == Side::Server { (client, server) } else { (server, client) };
        self.tracker.advance(moment(millis));
        self.tracker.observe(&Packet::Segment(Segment {
            at: At { time: moment(millis), frame: self.frame, file: 0 },
            interface: 0,
            direction: None,
            source,
            destination,
            ttl: 60,
            ip_id: 0,
            seq: way.numbers[0],
            ack: way.numbers[1],
            flags: way.flags,
            window: 64_000,
            urgent: 0,
            options: &[],
            text: text.as_bytes(),
            text_len: text.len() as u32,
            checkable: None,
        }));
    }
}

fn moment(millis: i64) -> Time {
    Time(1_700_000_000_000_000_000 + millis * 1_000_000)
}

/// When the handshakes of the control connection and of the data connection begin, in milliseconds.
const CONTROL: i64 = 100;
const DATA: i64 = 300;

/// When a SYN is sent again, in milliseconds.
const AGAIN: [i64; 4] = [0, 1000, 3000, 7000];

/// What passes one tap.
fn pass(tap: &mut Tap, opening: Opening, leg: Lost, seen: [bool; 3]) {
    if opening == Opening::Control {
        handshake(tap, opening, false, leg, seen);
        return tap.other(60_000);
    }
    handshake(tap, opening, false, leg, [true; 3]);
    let mut next = [1000_u32, 1000_u32];
    let mut say = |tap: &mut Tap, millis, toward: Side, text: &str, flags| {
        let (from, to) = if toward == Side::Server { (0, 1) } else { (1, 0) };
        let way = Way { data: false, toward, flags: Flags::ACK | flags, numbers: [next[from], next[to]] };
        tap.packet(opening, millis, &way, text);
        next[from] += text.len() as u32 + u32::from(flags == Flags::FIN);
    };
    say(tap, 200, Side::Client, "220 ready\r\n", Flags::PSH);
    say(tap, 210, Side::Server, "USER anonymous\r\n", Flags::PSH);
    say(tap, 220, Side::Client, "230 in\r\n", Flags::PSH);
    if opening == Opening::Passive {
        say(tap, 230, Side::Server, "PASV\r\n", Flags::PSH);
        say(tap, 240, Side::Client, "227 Entering Passive Mode (192,0,2,1,195,80).\r\n", Flags::PSH);
    } else {
        say(tap, 230, Side::Server, "PORT 10,0,0,1,156,65\r\n", Flags::PSH);
        say(tap, 240, Side::Client, "200 ok\r\n", Flags::PSH);
    }
    say(tap, 250, Side::Server, "RETR file\r\n", Flags::PSH);
    handshake(tap, opening, true, leg, seen);
    say(tap, 60_000, Side::Client, "425 Failed to establish connection.\r\n", Flags::PSH);
    say(tap, 60_010, Side::Server, "QUIT\r\n", Flags::PSH);
    say(tap, 60_020, Side::Client, "221 bye\r\n", Flags::PSH);
    say(tap, 60_030, Side::Server, "", Flags::FIN);
    say(tap, 60_040, Side::Client, "", Flags::FIN);
    say(tap, 60_050, Side::Server, "", Flags::ACK);
    tap.other(61_000);
}

/// The legs of a handshake that pass this tap; all are tried again and again unless all pass, but for a SYN that was
/// answered.
fn handshake(tap: &mut Tap, opening: Opening, data: bool, leg: Lost, seen: [bool; 3]) {
    let from = if data { DATA } else { CONTROL };
    let opener = if data { opening.opener() } else { Side::Client };
    let legs = [
        (Flags::SYN, [999, 0], !opener),
        (Flags::SYN | Flags::ACK, [999, 1000], opener),
        (Flags::ACK, [1000, 1000], !opener),
    ];
    let fails = data || opening == Opening::Control;
    for again in AGAIN.into_iter().take(if fails { AGAIN.len() } else { 1 }) {
        for (delay, ((flags, numbers, toward), seen)) in (0..).zip(legs.into_iter().zip(seen)) {
            let answered = flags == Flags::SYN && leg == Lost::Ack;
            if seen && (again == 0 || !answered) {
                tap.packet(opening, from + again + delay, &Way { data, toward, flags, numbers }, "");
            }
        }
    }
}

/// Two points of the line by number.
type Interval = (usize, usize);

/// The capture of the tap with this number ends before a millisecond.
type Cut = Option<(usize, i64)>;

/// What is named when taps with these numbers look, if anything.
fn named(opening: Opening, loss: Loss, taps: &[usize], cut: Cut) -> Vec<Interval> {
    let (mut views, mut facts) = (Vec::new(), Vec::new());
    for (capture, &number) in taps.iter().enumerate() {
        let end = cut.filter(|(tap, _)| *tap == number).map(|(_, end)| end);
        let mut tap = Tap::new(end);
        pass(&mut tap, opening, loss.leg, opening.seen(loss, number));
        tap.tracker.finish();
        views.push(std::iter::from_fn(|| tap.tracker.poll()).collect());
        let (name, packets) = (format!("{number}.pcap"), tap.frame.into());
        let census = tap.tracker.census();
        let files = vec![name.clone()];
        facts.push(TapFacts { files, name, capture, packets, census, cut: end.is_some(), ..TapFacts::default() });
    }
    let placings = vec![Placing::Given(Place::Between); taps.len()];
    let sessions = join(views, &placings);
    assert!(sessions.len() <= 1, "{opening:?} {loss:?} {taps:?}: {} sessions", sessions.len());
    let number = |point| match point {
        Point::Client => 0,
        Point::Tap(sight) => taps[sight],
        Point::Server => MOST + 1,
    };
    let mut named = Vec::new();
    for session in &sessions {
        let judgement = judge(session, &facts);
        let transfers = judgement.transfers.iter().filter_map(|(_, verdict)| verdict.as_ref());
        let stretches = transfers.chain(&judgement.control.1).filter_map(|verdict| verdict.finding.stretch);
        named.extend(stretches.map(|stretch| (number(stretch.from), number(stretch.to))));
    }
    named
}

/// The smallest stretch between these taps that holds all losses which look like this one.
fn hull(opening: Opening, loss: Loss, taps: &[usize], last: usize) -> Interval {
    let seen = |loss| taps.iter().map(|&tap| opening.seen(loss, tap)).collect::<Vec<_>>();
    let places = LEGS.into_iter().flat_map(|leg| (0..=last).map(move |place| Loss { leg, place }));
    let alike: Vec<usize> = places.filter(|&other| seen(other) == seen(loss)).map(|other| other.place).collect();
    let (first, furthest) = (alike.iter().min().copied().unwrap_or(0), alike.iter().max().copied().unwrap_or(last));
    let from = taps.iter().copied().filter(|&tap| tap <= first).max().unwrap_or(0);
    let to = taps.iter().copied().find(|&tap| tap > furthest).unwrap_or(MOST + 1);
    (from, to)
}

/// Every loss on a line of every length, with every set of taps that sees the session.
fn each_view(mut look: impl FnMut(Opening, Loss, &[usize], usize)) {
    for opening in [Opening::Control, Opening::Passive, Opening::Active] {
        for last in 1..=MOST {
            for bits in 1_usize..1 << last {
                let taps: Vec<usize> = (1..=last).filter(|tap| bits >> (tap - 1) & 1 == 1).collect();
                for loss in LEGS.into_iter().flat_map(|leg| (0..=last).map(move |place| Loss { leg, place })) {
                    if opening != Opening::Control || taps.iter().any(|&tap| opening.seen(loss, tap)[0]) {
                        look(opening, loss, &taps, last);
                    }
                }
            }
        }
    }
}

#[test]
fn the_stretch_is_the_hull_of_all_places_that_look_alike() {
    let (mut looked, mut wrong) = (0, Vec::new());
    each_view(|opening, loss, taps, last| {
        looked += 1;
        let expected = hull(opening, loss, taps, last);
        let named = named(opening, loss, taps, None);
        if named != [expected] {
            wrong.push((opening, loss, taps.to_vec(), expected, named));
        }
    });
    println!("{looked} views");
    for wrong in wrong.iter().take(12) {
        println!("wrong: {wrong:?}");
    }
    assert!(wrong.is_empty(), "{} wrong", wrong.len());
}

#[test]
fn a_capture_that_ends_too_early_misleads_nobody() {
    let (mut looked, mut narrow, mut wrong) = (0, 0, Vec::new());
    each_view(|opening, loss, taps, _| {
        let from = if opening == Opening::Control { CONTROL } else { DATA };
        for (&tap, after) in taps.iter().flat_map(|tap| [-50, 0, 1, 2, 3, 1001, 3500].map(|after| (tap, after))) {
            looked += 1;
            let named = named(opening, loss, taps, Some((tap, from + after)));
            narrow += usize::from(named.iter().any(|stretch| *stretch != (0, MOST + 1)));
            if named.iter().any(|stretch| stretch.0 > loss.place || stretch.1 < loss.place + 1) {
                wrong.push((opening, loss, taps.to_vec(), tap, after, named));
            }
        }
    });
    println!("{looked} views with a cut, {narrow} of which name less than the whole line");
    assert!(narrow > looked / 2, "only {narrow} of {looked} views name anything");
    for wrong in wrong.iter().take(12) {
        println!("wrong: {wrong:?}");
    }
    assert!(wrong.is_empty(), "{} wrong", wrong.len());
}
