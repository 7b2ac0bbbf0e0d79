//! Sessions without end: whatever both ends say, and however often, what is kept of it is bounded.

mod counting;

use std::net::IpAddr;

use ftpwhy::cite::{At, Time};
use ftpwhy::line::{Place, Side};
use ftpwhy::packet::{Endpoint, Flags, Packet, Segment};
use ftpwhy::report::{Format, Options, Reporter};
use ftpwhy::session::join::join;
use ftpwhy::session::place::Placing;
use ftpwhy::session::tracker::{Config, Leg, Tracker};
use ftpwhy::session::view::{MAX_EVENTS, MAX_TRANSFERS, View};
use ftpwhy::verdict::{TapFacts, judge};

/// Packets of a session.
const PACKETS: u32 = 20_000;

/// Bytes that a play may have allocated at once, in all its taps and with all that is made of them.
const MAX_BYTES: usize = 256 << 20;

struct Wire {
    tracker: Tracker,
    next: [u32; 2],
    frame: u32,
}

fn end(host: u8, port: u16) -> Endpoint {
    Endpoint { ip: IpAddr::from([10, 0, 0, host]), port }
}

impl Wire {
    fn new() -> Wire {
        let tracker =
            Tracker::new(Config { control_ports: vec![21], passive_range: None, leg: Leg::Both, sampled: false });
        Wire { tracker, next: [1000; 2], frame: 0 }
    }

    fn send(&mut self, source: Endpoint, destination: Endpoint, flags: Flags, seq: u32, ack: u32, text: &[u8]) {
        self.frame += 1;
        let at = At {
            time: Time(1_700_000_000_000_000_000 + i64::from(self.frame) * 1_000_000),
            frame: self.frame,
            file: 0,
        };
        self.tracker.advance(at.time);
        self.tracker.observe(&Packet::Segment(Segment {
            at,
            interface: 0,
            direction: None,
            source,
            destination,
            ttl: 60,
            ip_id: 0,
            seq,
            ack,
            flags,
            window: 64_000,
            urgent: 0,
            options: &[],
            text,
            text_len: text.len() as u32,
            checkable: None,
        }));
    }

    fn say(&mut self, by: Side, text: &[u8]) {
        let (client, server) = (end(1, 40_000), end(2, 21));
        let (source, destination) = if by == Side::Client { (client, server) } else { (server, client) };
        let (own, other) = (by as usize, !by as usize);
        self.send(source, destination, Flags::ACK | Flags::PSH, self.next[own], self.next[other], text);
        self.next[own] = self.next[own].wrapping_add(text.len() as u32);
    }

    fn client(&mut self, text: &str) {
        self.say(Side::Client, text.as_bytes());
    }

    fn server(&mut self, text: &str) {
        self.say(Side::Server, text.as_bytes());
    }
}

/// Plays a session at some taps, whose texts may differ, then joins, judges and reports it.
fn play(name: &str, taps: u8, step: impl FnMut(&mut Wire, u32, u8)) {
    let bytes = counting::peak(|| play_once(taps, step));
    println!("{name}: {} KiB", bytes >> 10);
    assert!(bytes < MAX_BYTES, "{name}: {bytes} bytes at once");
}

fn play_once(taps: u8, mut step: impl FnMut(&mut Wire, u32, u8)) {
    let (mut views, mut facts) = (Vec::new(), Vec::new());
    for tap in 0..taps {
        let mut wire = Wire::new();
        wire.server("220 ready\r\n");
        wire.client("USER me\r\n");
        (0..PACKETS).for_each(|number| step(&mut wire, number, tap));
        wire.tracker.finish();
        views.push(std::iter::from_fn(|| wire.tracker.poll()).collect());
        let census = wire.tracker.census();
        facts.push(TapFacts { name: "x".into(), packets: wire.frame.into(), census, ..TapFacts::default() });
    }
    let placings = vec![Placing::Given(Place::Between); usize::from(taps)];
    let sessions = join(views, &placings);
    let mut out = Vec::new();
    for session in &sessions {
        let judgement = judge(session, &facts);
        for format in [Format::Text, Format::Jsonl] {
            let options = Options { format, timeline: true, all: true, ..Options::default() };
            let mut reporter = Reporter::new(&mut out, options);
            reporter.session(session, &judgement, &facts).expect("a vector takes all");
        }
        out.clear();
    }
}

/// What a tracker keeps of a session in which more happens than it keeps.
fn kept(mut step: impl FnMut(&mut Wire, u32), steps: u32) -> Box<View> {
    let mut wire = Wire::new();
    wire.server("220 ready\r\n");
    (0..steps).for_each(|number| step(&mut wire, number));
    wire.tracker.finish();
    wire.tracker.poll().expect("one session was seen")
}

#[test]
fn events_and_transfers_beyond_the_bounds_are_counted_only() {
    let commands = MAX_EVENTS as u32 + 1000;
    let view = kept(|wire, _| wire.client("NOOP\r\n"), commands);
    assert_eq!(view.log.len(), MAX_EVENTS);
    assert!(view.uncounted >= 1000, "{} of {commands} commands were not kept", view.uncounted);
    let refused = |wire: &mut Wire, _| {
        wire.client("RETR x\r\n");
        wire.server("550 no\r\n");
    };
    let view = kept(refused, MAX_TRANSFERS as u32 + 1000);
    assert_eq!(view.transfers.len(), MAX_TRANSFERS);
    assert!(view.uncounted >= 1000, "{} were not kept", view.uncounted);
}

fn port(number: u32) -> String {
    format!("{},{}", 128 + number % 64, number / 64 % 256)
}

#[test]
fn negotiations_that_lead_nowhere() {
    play("one PORT", 1, |wire, _, _| wire.client("PORT 10,0,0,1,156,64\r\n"));
    play("many PORT", 1, |wire, number, _| wire.client(&format!("PORT 10,0,0,1,{}\r\n", port(number))));
    play("PASV and 227", 1, |wire, number, _| match number % 2 {
        0 => wire.client("PASV\r\n"),
        _ => wire.server(&format!("227 (10,0,0,2,{})\r\n", port(number))),
    });
}

#[test]
fn commands_without_replies_and_replies_without_commands() {
    play("NOOP", 1, |wire, _, _| wire.client("NOOP\r\n"));
    play("RETR, then 226", 1, |wire, number, _| match number < PACKETS / 2 {
        true => wire.client("RETR x\r\n"),
        false => wire.server("226 done\r\n"),
    });
    play("RETR, then 550", 1, |wire, number, _| match number < PACKETS / 2 {
        true => wire.client("RETR x\r\n"),
        false => wire.server("550 no\r\n"),
    });
    play("RETR, then 120", 1, |wire, number, _| match number < PACKETS / 2 {
        true => wire.client("RETR x\r\n"),
        false => wire.server("120 wait\r\n"),
    });
    play("550", 1, |wire, _, _| wire.server("550 no\r\n"));
}

#[test]
fn encryption_on_and_off() {
    play("TLS and CCC", 1, |wire, number, _| match number % 3 {
        0 => wire.say(Side::Client, b"\x16\x03\x01\x00\x02\x01\x00"),
        1 => wire.client("NOOP x\r\n"),
        _ => wire.server("200 ok\r\n"),
    });
}

#[test]
fn many_transfers_that_go_through() {
    for taps in [1, 2] {
        play("transfers", taps, |wire, number, tap| {
            let listener = end(2, 50_000 + (number / 8 % 10_000) as u16);
            match number % 8 {
                0 => wire.client("PASV\r\n"),
                // behind a NAT the same reply reads otherwise
                1 => wire.server(&format!("227 (10,0,{tap},2,{},{})\r\n", listener.port / 256, listener.port % 256)),
                2 => wire.client(&format!("RETR file-{number}\r\n")),
                3 => wire.send(end(1, 60_001), listener, Flags::SYN, number, 0, b""),
                4 => wire.send(listener, end(1, 60_001), Flags::SYN | Flags::ACK, number, number, b""),
                5 => wire.send(end(1, 60_001), listener, Flags::ACK, number - 1, number, b""),
                6 => wire.server("150 coming\r\n"),
                _ => wire.server("226 done\r\n"),
            }
        });
    }
}

#[test]
fn many_transfers_that_fail() {
    for taps in [1, 2] {
        play("failures", taps, |wire, number, _| {
            let listener = end(2, 50_000 + (number / 4 % 10_000) as u16);
            match number % 4 {
                0 => wire.client("PASV\r\n"),
                1 => wire.server(&format!("227 (10,0,0,2,{},{})\r\n", listener.port / 256, listener.port % 256)),
                2 => wire.send(end(1, 60_001), listener, Flags::SYN, number, 0, b""),
                _ => wire.client(&format!("RETR file-{number}\r\n")),
            }
        });
    }
}

#[test]
fn texts_that_differ_between_taps() {
    play("other texts", 2, |wire, number, tap| match number % 2 {
        0 => wire.client(&format!("SIZE {tap}-{number}\r\n")),
        _ => wire.server("213 1\r\n"),
    });
}

#[test]
fn one_listener_and_many_connections() {
    play("connections", 2, |wire, number, _| match number {
        0 => wire.client("PASV\r\n"),
        1 => wire.server("227 (10,0,0,2,195,80)\r\n"),
        _ => wire.send(end(1, number as u16), end(2, 50_000), Flags::SYN, number, 0, b""),
    });
}

#[test]
fn a_scan_with_one_sequence_number() {
    play("scan", 2, |wire, number, _| {
        let target = Endpoint { ip: IpAddr::from([10, 9, (number >> 8) as u8, number as u8]), port: 21 };
        wire.send(end(1, 40_000), target, Flags::SYN, 7, 0, b"");
    });
}
