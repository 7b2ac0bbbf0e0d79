//! What the targets share: packets from a few numbers, and a look at everything that comes out.

use std::net::IpAddr;

use ftpwhy::cite::{At, Time};
use ftpwhy::line::{Place, Point};
use ftpwhy::packet::{Endpoint, Flags, Segment};
use ftpwhy::report::{Format, Options, Reporter};
use ftpwhy::session::join::{Session, join};
use ftpwhy::session::place::Placing;
use ftpwhy::session::view::{MAX_EVENTS, View};
use ftpwhy::verdict::{TapFacts, judge};

/// Stands in every PASS command; may stand in no report.
pub const PASSWORD: &str = "hunter2hunter2";

/// One of four hosts and four ports.
pub fn endpoint(host: u8, port: u8) -> Endpoint {
    let ports = [21, 20, 40_000, 50_000];
    Endpoint { ip: IpAddr::from([10, 0, 0, 1 + host % 4]), port: ports[usize::from(port) % 4] }
}

/// A segment between two endpoints.
pub fn segment(at: At, source: Endpoint, destination: Endpoint, flags: u8, seq: u32, ack: u32, text: &[u8]) -> Segment<'_> {
    Segment {
        at,
        interface: 0,
        direction: None,
        source,
        destination,
        ttl: 64,
        ip_id: 0,
        seq,
        ack,
        flags: Flags(flags),
        window: 1000,
        urgent: 0,
        options: &[],
        text,
        text_len: text.len() as u32,
        checkable: None,
    }
}

/// A moment, counted in milliseconds from a fixed day.
pub fn moment(millis: i64, frame: u32) -> At {
    At { time: Time(1_700_000_000_000_000_000_i64.saturating_add(millis.saturating_mul(1_000_000))), frame, file: 0 }
}

/// Joins, judges and reports what one or two taps saw, and checks what must always hold.
pub fn look_at(views: Vec<Vec<View>>) {
    let facts = |name: &str| TapFacts { name: name.into(), files: vec![name.into()], packets: 1, ..TapFacts::default() };
    let taps: Vec<TapFacts> = ["one.pcap", "other.pcap"].iter().take(views.len()).map(|name| facts(name)).collect();
    let placings = [Placing::Given(Place::Client), Placing::Given(Place::Server)];
    let sessions: Vec<Session> = join(views, &placings[..taps.len()]);
    for format in [Format::Text, Format::Jsonl] {
        let mut out = Vec::new();
        let options = Options { format, timeline: true, all: true, ..Options::default() };
        let mut reporter = Reporter::new(&mut out, options);
        for session in &sessions {
            let judgement = judge(session, &taps);
            let rank = |point| match point {
                Point::Client => 0,
                Point::Tap(tap) => tap + 1,
                Point::Server => taps.len() + 1,
            };
            let verdicts = judgement.transfers.iter().filter_map(|(_, verdict)| verdict.as_ref());
            for verdict in verdicts.chain(judgement.control.1.iter()) {
                if let Some(stretch) = verdict.finding.stretch {
                    assert!(rank(stretch.from) <= rank(stretch.to), "{} runs backwards", verdict.rule.id);
                }
                assert!(verdict.finding.evidence.iter().all(|evidence| evidence.sight < session.sights.len()));
            }
            assert!(session.main().log.len() <= MAX_EVENTS);
            reporter.session(session, &judgement, &taps).expect("a vector takes all");
        }
        reporter.finish(&taps).expect("a vector takes all");
        assert!(!String::from_utf8_lossy(&out).contains(PASSWORD), "a password is shown");
    }
}
