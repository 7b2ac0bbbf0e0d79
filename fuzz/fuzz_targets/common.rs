//! What the targets share: packets from a few numbers, and a look at everything that comes out.
#![allow(dead_code)] // every target takes a part of it

use std::net::IpAddr;

use arbitrary::Arbitrary;
use ftpwhy::cite::{At, Time};
use ftpwhy::line::{Place, Point};
use ftpwhy::packet::{Direction, Endpoint, Flags, Segment};
use ftpwhy::report::{Format, Options, Reporter};
use ftpwhy::session::join::{Session, join};
use ftpwhy::session::place::Placing;
use ftpwhy::session::view::{CONTROL, MAX_EVENTS, MAX_HELPER_DROPS, MAX_TEXT, MAX_TRANSFERS, View};
use ftpwhy::tcp::connection::{Connection, Role};
use ftpwhy::verdict::{Judgement, TapFacts, Verdict, judge};

/// May stand in no report.
pub const PASSWORD: &str = "hunter2hunter2";

/// Text of a segment.
#[derive(Arbitrary, Debug)]
pub enum Text<'a> {
    /// Of [`LINES`].
    Line(u8),
    /// Anything.
    Bytes(&'a [u8]),
}

/// Lines that lead somewhere, and TLS records.
const LINES: [&[u8]; 41] = [
    b"220 ready\r\n",
    b"220-hello\r\n",
    b"USER me\r\n",
    b"331 password\r\n",
    b"PASS other\r\n",
    b"230 in\r\n",
    b"530 no\r\n",
    b"PASV\r\n",
    b"227 Entering Passive Mode (10,0,0,2,195,80).\r\n",
    b"227 Entering Passive Mode (192,168,0,9,156,64).\r\n",
    b"EPSV\r\n",
    b"EPSV ALL\r\n",
    b"229 (|||50000|)\r\n",
    b"PORT 10,0,0,1,156,64\r\n",
    b"PORT 10,0,0,3,156,64\r\n",
    b"EPRT |1|10.0.0.1|40000|\r\n",
    b"LPSV\r\n",
    b"228 (4,4,10,0,0,2,2,195,80)\r\n",
    b"200 ok\r\n",
    b"RETR file\r\n",
    b"STOR file\r\n",
    b"LIST\r\n",
    b"150 coming\r\n",
    b"226 done\r\n",
    b"226 Ab",
    b"orted\r\n",
    b"425 Security: Bad IP connecting.\r\n",
    b"425 failed\r\n",
    b"426 closed\r\n",
    b"550 no such file\r\n",
    b"522 TLS session of data connection not resumed.\r\n",
    b"AUTH TLS\r\n",
    b"234 go\r\n",
    b"\x16\x03\x01\x00\x02\x01\x00",
    b"CCC\r\n",
    b"ABOR\r\n",
    b"\xff\xf4\xff\xf2ABOR\r\n",
    b"QUIT\r\n",
    b"221 bye\r\n",
    b"421 timeout\r\n",
    b"MIC c2VjcmV0\r\n",
];

impl Text<'_> {
    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Text::Line(line) => LINES[usize::from(*line) % LINES.len()].to_vec(),
            Text::Bytes(bytes) => bytes.to_vec(),
        }
    }
}

/// One of four hosts and four ports.
pub fn endpoint(host: u8, port: u8) -> Endpoint {
    let ports = [21, 20, 40_000, 50_000];
    Endpoint { ip: IpAddr::from([10, 0, 0, 1 + host % 4]), port: ports[usize::from(port) % 4] }
}

/// A segment between two endpoints.
pub fn segment(at: At, ends: [Endpoint; 2], flags: u8, numbers: [u32; 2], text: &[u8]) -> Segment<'_> {
    Segment {
        at,
        interface: 0,
        direction: None,
        source: ends[0],
        destination: ends[1],
        ttl: 64,
        ip_id: 0,
        seq: numbers[0],
        ack: numbers[1],
        flags: Flags(flags),
        window: 1000,
        urgent: 0,
        options: &[],
        text,
        text_len: text.len() as u32,
        checkable: None,
    }
}

/// In or out, or not told.
pub fn direction(number: u8) -> Option<Direction> {
    [None, Some(Direction::Incoming), Some(Direction::Outgoing)][usize::from(number) % 3]
}

/// A moment, counted in milliseconds from a fixed day.
pub fn moment(millis: i64, frame: u32) -> At {
    At { time: Time(1_700_000_000_000_000_000_i64.saturating_add(millis.saturating_mul(1_000_000))), frame, file: 0 }
}

/// Joins, judges and reports what some taps saw, and checks what must always hold.
pub fn look_at(views: Vec<Vec<Box<View>>>, placings: &[Placing]) {
    let facts = |tap| {
        let name = format!("{tap}.pcap");
        TapFacts { name: name.clone(), files: vec![name], capture: tap, packets: 1, ..TapFacts::default() }
    };
    let taps: Vec<TapFacts> = (0..views.len()).map(facts).collect();
    for session in join(views, placings) {
        check(&session, &judge(&session, &taps), &taps);
    }
}

/// Checks a judged session and its reports.
pub fn check(session: &Session, judgement: &Judgement, taps: &[TapFacts]) {
    session.sights.iter().filter_map(|sight| sight.view.as_deref()).for_each(check_view);
    assert_eq!(judgement.transfers.len(), session.main().transfers.len());
    let verdicts = judgement.transfers.iter().filter_map(|(_, verdict)| verdict.as_ref());
    verdicts.chain(&judgement.control.1).for_each(|verdict| check_verdict(session, verdict));
    for format in [Format::Text, Format::Jsonl] {
        let mut out = Vec::new();
        let mut reporter = Reporter::new(&mut out, Options { format, timeline: true, all: true, ..Options::default() });
        reporter.session(session, judgement, taps).expect("a vector takes all");
        reporter.finish(taps, &[]).expect("a vector takes all");
        let out = String::from_utf8(out).expect("a report is UTF-8");
        assert!(!out.contains(PASSWORD), "a password is shown");
        let hostile = |char: char| char.is_control() && char != '\n';
        assert!(!out.contains(hostile), "a control character reaches the terminal");
    }
}

fn check_verdict(session: &Session, verdict: &Verdict) {
    let count = session.sights.len();
    let rank = |point| match point {
        Point::Client => 0,
        Point::Tap(tap) if tap < count => tap + 1,
        Point::Tap(tap) => panic!("{} names tap {tap} of {count}", verdict.rule.id),
        Point::Server => count + 1,
    };
    if let Some(stretch) = verdict.finding.stretch {
        let one_box = stretch.from == stretch.to && matches!(stretch.from, Point::Tap(_));
        assert!(rank(stretch.from) < rank(stretch.to) || one_box, "{} runs backwards", verdict.rule.id);
    }
    assert!(verdict.finding.evidence.iter().all(|evidence| evidence.sight < count));
    assert!(verdict.remedies.iter().all(|remedy| !format!("{remedy:?}").contains(PASSWORD)));
}

fn check_view(view: &View) {
    assert!(view.log.len() <= MAX_EVENTS && view.text.len() <= MAX_TEXT + (1 << 16));
    assert!(view.transfers.len() <= MAX_TRANSFERS && view.attempts.len() <= MAX_TRANSFERS);
    assert!(view.helper_drops.len() <= MAX_HELPER_DROPS);
    for event in &view.log {
        assert!(event.span().end <= view.text.len());
        assert!(event.attempt == CONTROL || usize::from(event.attempt) < view.attempts.len());
    }
    let indexes = view.transfers.iter().flat_map(|transfer| [transfer.command, transfer.reply, transfer.abort]);
    assert!(indexes.flatten().all(|index| (index as usize) < view.log.len() || view.uncounted > 0));
    for attempt in &view.attempts {
        assert!(usize::from(attempt.transfer) < view.transfers.len());
        check_connection(&attempt.connection);
    }
    check_connection(&view.control);
}

fn check_connection(connection: &Connection) {
    for role in [Role::Opener, Role::Listener] {
        let half = connection.half(role);
        assert!(half.bytes() < 1 << 63 && half.longest_acked <= 1 << 31);
    }
}

/// Where the taps stand: given in line order, or to be inferred.
pub fn placings(given: bool, count: usize) -> Vec<Placing> {
    let place = |tap| match tap {
        0 => Place::Client,
        tap if tap + 1 == count => Place::Server,
        _ => Place::Between,
    };
    (0..count).map(|tap| if given { Placing::Given(place(tap)) } else { Placing::Open }).collect()
}
