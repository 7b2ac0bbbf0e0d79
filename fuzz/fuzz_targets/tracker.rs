//! Lists of tracker operations at two taps: packets of a few hosts, errors, time; then everything that follows from them.
#![no_main]

mod common;

use arbitrary::Arbitrary;
use common::{PASSWORD, endpoint, look_at, moment, segment};
use ftpwhy::line::Side;
use ftpwhy::packet::{IcmpError, IcmpKind, Packet, Quoted};
use ftpwhy::session::tracker::{Config, Leg, Tracker};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Operation {
    tap: bool,
    wait: u16,
    what: What,
}

#[derive(Arbitrary, Debug)]
enum What {
    Segment { from: (u8, u8), to: (u8, u8), flags: u8, seq: u8, ack: u8, text: Text },
    Icmp { version: bool, kind: u8, code: u8, source: u8, from: (u8, u8), to: (u8, u8) },
    Advance(u32),
    Other,
}

#[derive(Arbitrary, Debug)]
enum Text {
    None,
    Bytes(Vec<u8>),
    Line(u8),
}

const LINES: [&str; 16] = [
    "220 ready\r\n",
    "USER me\r\n",
    "230 in\r\n",
    "PASV\r\n",
    "227 Entering Passive Mode (10,0,0,2,195,80).\r\n",
    "EPSV\r\n",
    "229 (|||50000|)\r\n",
    "PORT 10,0,0,1,156,64\r\n",
    "200 ok\r\n",
    "RETR file\r\n",
    "150 coming\r\n",
    "226 done\r\n",
    "425 failed\r\n",
    "AUTH TLS\r\n",
    "234 go\r\n",
    "QUIT\r\n",
];

fuzz_target!(|input: (bool, Vec<Operation>)| {
    let (legs, operations) = input;
    let leg = |side| if legs { Leg::Toward(side) } else { Leg::Both };
    let config = |side| Config { control_ports: vec![21], passive_range: Some(50_000..=50_010), leg: leg(side) };
    let mut trackers = [Tracker::new(config(Side::Client)), Tracker::new(config(Side::Server))];
    let password = format!("\r\nPASS {PASSWORD}\r\n");
    let (mut millis, mut frame) = (0_i64, 0_u32);
    for Operation { tap, wait, what } in &operations {
        let tracker = &mut trackers[usize::from(*tap)];
        millis += i64::from(*wait);
        frame += 1;
        let at = moment(millis, frame);
        tracker.advance(at.time);
        match what {
            What::Segment { from, to, flags, seq, ack, text } => {
                let text = match text {
                    Text::None => &[][..],
                    Text::Bytes(bytes) => bytes,
                    Text::Line(line) => match LINES.get(usize::from(*line)) {
                        Some(line) => line.as_bytes(),
                        None => password.as_bytes(),
                    },
                };
                let (source, destination) = (endpoint(from.0, from.1), endpoint(to.0, to.1));
                let numbers = (u32::from(*seq) * 8, u32::from(*ack) * 8);
                let segment = segment(at, source, destination, *flags, numbers.0, numbers.1, text);
                tracker.observe(&Packet::Segment(segment));
            }
            What::Icmp { version, kind, code, source, from, to } => tracker.observe(&Packet::IcmpError(IcmpError {
                at,
                interface: 0,
                direction: None,
                source: endpoint(*source, 0).ip,
                destination: endpoint(from.0, 0).ip,
                ttl: 64,
                kind: IcmpKind { version: if *version { 6 } else { 4 }, kind: *kind, code: *code },
                mtu: None,
                quoted: Quoted {
                    source: endpoint(from.0, from.1),
                    destination: endpoint(to.0, to.1),
                    ttl: 63,
                    ip_id: 0,
                    seq: None,
                    flags: None,
                },
            })),
            What::Advance(by) => {
                millis += i64::from(*by);
                tracker.advance(moment(millis, frame).time);
            }
            What::Other => tracker.observe(&Packet::Other),
        }
    }
    let views = trackers.iter_mut().map(|tracker| {
        tracker.finish();
        std::iter::from_fn(|| tracker.poll()).collect()
    });
    look_at(views.collect());
});
