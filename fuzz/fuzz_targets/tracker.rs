//! Operations of the trackers of up to three taps: packets of a few hosts, ICMP errors, time; then all that follows.
#![no_main]

mod common;

use arbitrary::Arbitrary;
use common::{Text, direction, endpoint, look_at, moment, placings, segment};
use ftpwhy::cite::Time;
use ftpwhy::line::Side;
use ftpwhy::packet::{Flags, IcmpError, IcmpKind, Packet, Quoted};
use ftpwhy::session::tracker::{Config, Leg, Tracker};
use ftpwhy::session::view::View;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Operation<'a> {
    /// A bit for each tap that sees it.
    taps: u8,
    wait: u16,
    what: What<'a>,
}

#[derive(Arbitrary, Debug)]
enum What<'a> {
    /// A segment from scratch.
    Segment {
        way: Way,
        flags: u8,
        numbers: [u8; 2],
        text: Option<Text<'a>>,
        ttl: u8,
        direction: u8,
        window: u8,
    },
    /// The next words of a connection whose ends keep count.
    Says {
        way: Way,
        text: Text<'a>,
    },
    Syn(Way),
    SynAck(Way),
    Ack(Way),
    Fin(Way),
    Reset(Way),
    Bytes(Way, u16),
    Icmp {
        version: bool,
        kind: u8,
        code: u8,
        source: u8,
        way: Way,
        seq: Option<u8>,
        flags: Option<u8>,
        mtu: Option<u16>,
    },
    Advance(u32),
    Jump(i64),
    Other,
}

/// Hosts and ports of source and destination.
#[derive(Arbitrary, Debug, Clone, Copy)]
struct Way([u8; 4]);

impl Way {
    fn ends(self) -> [ftpwhy::packet::Endpoint; 2] {
        let Way([from, from_port, to, to_port]) = self;
        [endpoint(from, from_port), endpoint(to, to_port)]
    }

    /// One of 256 counters.
    fn index(self) -> usize {
        let Way(numbers) = self;
        numbers.iter().fold(0, |index, number| index << 2 | usize::from(number % 4))
    }

    fn back(self) -> Way {
        let Way([from, from_port, to, to_port]) = self;
        Way([to, to_port, from, from_port])
    }
}

/// What every direction of every connection has sent.
struct Counters([u32; 256]);

impl Counters {
    fn numbers(&self, way: Way) -> [u32; 2] {
        [self.0[way.index()], self.0[way.back().index()]]
    }

    fn count(&mut self, way: Way, by: u32) {
        self.0[way.index()] = self.0[way.index()].wrapping_add(by);
    }
}

/// A segment's flags, whether it counts one itself, and how many bytes it has.
fn kept(what: &What<'_>) -> Option<(Way, u8, Vec<u8>)> {
    Some(match what {
        What::Says { way, text } => (*way, 0x18, text.bytes()),
        What::Syn(way) => (*way, 0x02, Vec::new()),
        What::SynAck(way) => (*way, 0x12, Vec::new()),
        What::Ack(way) => (*way, 0x10, Vec::new()),
        What::Fin(way) => (*way, 0x11, Vec::new()),
        What::Reset(way) => (*way, 0x14, Vec::new()),
        What::Bytes(way, length) => (*way, 0x18, vec![0x55; usize::from(*length)]),
        _ => return None,
    })
}

fn icmp(what: &What<'_>, at: ftpwhy::cite::At) -> Option<IcmpError> {
    let What::Icmp { version, kind, code, source, way, seq, flags, mtu } = what else { return None };
    let [from, to] = way.ends();
    Some(IcmpError {
        at,
        interface: 0,
        direction: None,
        source: endpoint(*source, 0).ip,
        destination: from.ip,
        ttl: 64,
        kind: IcmpKind { version: if *version { 6 } else { 4 }, kind: *kind, code: *code },
        mtu: mtu.map(u32::from),
        quoted: Quoted {
            source: from,
            destination: to,
            ttl: 63,
            ip_id: 0,
            seq: seq.map(u32::from),
            flags: flags.map(Flags),
        },
    })
}

fn run(tap: usize, legs: bool, operations: &[Operation<'_>]) -> Vec<Box<View>> {
    let leg = match (legs, tap) {
        (true, 0) => Leg::Toward(Side::Client),
        (true, _) => Leg::Toward(Side::Server),
        (false, _) => Leg::Both,
    };
    let mut tracker = Tracker::new(Config { control_ports: vec![21], passive_range: Some(50_000..=50_010), leg, sampled: false });
    let mut counters = Counters([0; 256]);
    let (mut millis, mut frame) = (0_i64, 0_u32);
    for Operation { taps, wait, what } in operations {
        millis = millis.saturating_add((*wait).into());
        frame += 1;
        let at = moment(millis, frame);
        let sees = taps >> tap & 1 == 0;
        if sees {
            tracker.advance(at.time);
        }
        if let Some((way, flags, text)) = kept(what) {
            let segment = segment(at, way.ends(), flags, counters.numbers(way), &text);
            counters.count(way, segment.end_seq().wrapping_sub(segment.seq));
            if sees {
                tracker.observe(&Packet::Segment(segment));
            }
        } else if let Some(error) = icmp(what, at).filter(|_| sees) {
            tracker.observe(&Packet::IcmpError(error));
        }
        match what {
            What::Segment { way, flags, numbers, text, ttl, direction: way_out, window } if sees => {
                let text = text.as_ref().map(Text::bytes).unwrap_or_default();
                let mut segment = segment(at, way.ends(), *flags, numbers.map(|number| u32::from(number) << 4), &text);
                (segment.ttl, segment.direction, segment.window) = (*ttl, direction(*way_out), (*window).into());
                tracker.observe(&Packet::Segment(segment));
            }
            What::Advance(by) => {
                millis = millis.saturating_add((*by).into());
                tracker.advance(moment(millis, frame).time);
            }
            What::Jump(to) if sees => tracker.advance(Time(*to)),
            What::Other if sees => tracker.observe(&Packet::Other),
            _ => {}
        }
    }
    tracker.finish();
    std::iter::from_fn(|| tracker.poll()).collect()
}

fuzz_target!(|input: (bool, bool, u8, Vec<Operation<'_>>)| {
    let (legs, given, taps, operations) = input;
    let taps = 1 + usize::from(taps % 3);
    let views = (0..taps).map(|tap| run(tap, legs, &operations)).collect();
    look_at(views, &placings(given, taps));
});
