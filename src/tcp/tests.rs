//! A connection from segments a line each.

use std::net::IpAddr;

use crate::cite::{At, Time};
use crate::packet::{Endpoint, Flags, Segment};
use crate::tcp::connection::{Connection, Noticed, Opening, Role};

const OPENER: Endpoint = Endpoint { ip: IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), port: 40_000 };
const LISTENER: Endpoint = Endpoint { ip: IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), port: 50_000 };

struct Wire {
    connection: Connection,
    millis: i64,
}

impl Wire {
    fn new() -> Wire {
        Wire { connection: Connection::new(OPENER, LISTENER), millis: 0 }
    }

    fn at(&mut self, millis: i64) -> &mut Self {
        self.millis = millis;
        self
    }

    fn send(&mut self, from: Role, flags: Flags, seq: u32, ack: u32, text_len: u32) -> Noticed {
        let (source, destination) = if from == Role::Opener { (OPENER, LISTENER) } else { (LISTENER, OPENER) };
        self.millis += 1;
        let segment = Segment {
            at: At { time: Time(self.millis * 1_000_000), frame: self.millis as u32, file: 0 },
            interface: 0,
            direction: None,
            source,
            destination,
            ttl: 64,
            ip_id: 0,
            seq,
            ack,
            flags,
            window: 1000,
            urgent: 0,
            options: &[],
            text: &[],
            text_len,
            checkable: None,
        };
        self.connection.observe_from(from, &segment)
    }

    /// Both ends start their text at sequence number `start`.
    fn open(&mut self, start: u32) -> &mut Self {
        self.send(Role::Opener, Flags::SYN, start.wrapping_sub(1), 0, 0);
        self.send(Role::Listener, Flags::SYN | Flags::ACK, start.wrapping_sub(1), start, 0);
        self.send(Role::Opener, Flags::ACK, start, start, 0);
        self
    }
}

#[test]
fn the_handshake_is_noticed_leg_by_leg() {
    let mut wire = Wire::new();
    assert_eq!(wire.send(Role::Opener, Flags::SYN, 9, 0, 0), Noticed::Syn);
    assert_eq!(wire.connection.opening(), Opening::Unanswered);
    assert_eq!(wire.send(Role::Listener, Flags::SYN | Flags::ACK, 9, 10, 0), Noticed::SynAck);
    assert_eq!(wire.connection.opening(), Opening::HalfOpen);
    assert_eq!(wire.send(Role::Opener, Flags::ACK, 10, 10, 0), Noticed::Established);
    assert_eq!(wire.connection.opening(), Opening::Established);
}

#[test]
fn a_syn_captured_twice_at_once_is_one_syn() {
    let mut wire = Wire::new();
    wire.send(Role::Opener, Flags::SYN, 9, 0, 0);
    assert_eq!(wire.send(Role::Opener, Flags::SYN, 9, 0, 0), Noticed::Nothing);
    assert_eq!(wire.at(1000).send(Role::Opener, Flags::SYN, 9, 0, 0), Noticed::SynAgain);
    assert_eq!(wire.connection.syn.map(|leg| leg.count.get()), Some(2));
}

#[test]
fn a_reset_before_the_handshake_is_complete_is_a_refusal() {
    let mut wire = Wire::new();
    wire.send(Role::Opener, Flags::SYN, 9, 0, 0);
    assert_eq!(wire.send(Role::Listener, Flags::RST | Flags::ACK, 0, 10, 0), Noticed::Reset);
    assert_eq!(wire.connection.opening(), Opening::Reset);
    assert!(wire.connection.is_over());
}

#[test]
fn bytes_follow_from_sequence_numbers_across_the_wrap_and_past_4_gib() {
    let mut wire = Wire::new();
    let start = u32::MAX - 10;
    wire.open(start);
    let (step, steps) = (500_000_000_u32, 12_u32);
    for index in 0..steps {
        let seq = start.wrapping_add(step.wrapping_mul(index));
        wire.send(Role::Listener, Flags::ACK, seq, start, step);
        wire.send(Role::Opener, Flags::ACK, start, seq.wrapping_add(step), 0);
    }
    let total = u64::from(step) * u64::from(steps);
    assert!(total > u64::from(u32::MAX));
    assert_eq!(wire.connection.half(Role::Listener).bytes(), total);
    assert!(!wire.connection.half(Role::Listener).unacked());
}

#[test]
fn a_capture_of_syn_and_fin_alone_gives_the_bytes() {
    let mut wire = Wire::new();
    wire.open(1000);
    wire.send(Role::Listener, Flags::FIN | Flags::ACK, 301_000, 1000, 0);
    assert_eq!(wire.connection.half(Role::Listener).bytes(), 300_000);
}

#[test]
fn what_is_sent_again_after_a_pause_and_never_acknowledged_is_counted() {
    let mut wire = Wire::new();
    wire.open(1000);
    wire.send(Role::Listener, Flags::ACK, 1000, 1000, 1448);
    for pause in [200, 600, 1400] {
        wire.at(pause).send(Role::Listener, Flags::ACK, 1000, 1000, 1448);
    }
    let half = wire.connection.half(Role::Listener);
    assert_eq!((half.again().count, half.again().stuck_len, half.acked), (3, 1448, 0));
    assert!(half.unacked());
}

#[test]
fn a_keep_alive_byte_is_no_text() {
    let mut wire = Wire::new();
    wire.open(1000);
    wire.send(Role::Opener, Flags::ACK, 1000, 1000, 5);
    wire.send(Role::Listener, Flags::ACK, 1000, 1005, 0);
    wire.at(60_000).send(Role::Opener, Flags::ACK, 1004, 1000, 1);
    let half = wire.connection.half(Role::Opener);
    assert_eq!((half.bytes(), half.resent()), (5, 0));
}

#[test]
fn a_bare_acknowledgement_beyond_all_text_shows_what_the_capture_did_not() {
    let mut wire = Wire::new();
    wire.open(1000);
    wire.send(Role::Listener, Flags::ACK, 16_000, 1000, 0);
    let half = wire.connection.half(Role::Listener);
    assert_eq!((half.stood, half.reach), (15_000, 0));
}

#[test]
fn a_fin_is_acknowledged_by_the_number_behind_it() {
    let mut wire = Wire::new();
    wire.open(1000);
    wire.send(Role::Opener, Flags::FIN | Flags::ACK, 1000, 1000, 0);
    wire.send(Role::Listener, Flags::ACK, 1000, 1000, 0);
    assert!(!wire.connection.half(Role::Opener).fin_acked());
    wire.send(Role::Listener, Flags::ACK, 1000, 1001, 0);
    assert!(wire.connection.half(Role::Opener).fin_acked());
}

#[test]
fn a_number_that_no_window_allows_is_a_strangers() {
    let mut wire = Wire::new();
    wire.open(1000);
    wire.send(Role::Listener, Flags::ACK, 0x7000_0000, 1000, 1448);
    assert_eq!(wire.connection.half(Role::Listener).reach, 0);
}

#[test]
fn a_reset_behind_text_that_was_not_captured_proves_that_the_connection_was_up() {
    let opened = |seq: u32, ack: u32| {
        let mut wire = Wire::new();
        wire.send(Role::Opener, Flags::SYN, 999, 0, 0);
        wire.send(Role::Listener, Flags::SYN | Flags::ACK, 4999, 1000, 0);
        wire.send(Role::Opener, Flags::RST | Flags::ACK, seq, ack, 0);
        wire.connection.opening()
    };
    assert_eq!(opened(1000, 5000), Opening::Reset);
    assert_eq!(opened(1000, 5001), Opening::Established);
    assert_eq!(opened(1001, 5000), Opening::Established);
    assert_eq!(opened(999, 4000), Opening::Reset);
}

#[test]
fn a_host_that_answers_a_fin_by_a_reset_without_acknowledgement_has_forgotten_the_connection() {
    let closed = |server_closes: bool, reset: Flags| {
        let mut wire = Wire::new();
        wire.open(1000);
        if server_closes {
            wire.send(Role::Listener, Flags::FIN | Flags::ACK, 1500, 1000, 0);
        }
        wire.send(Role::Opener, Flags::FIN | Flags::ACK, 1000, 1500, 0);
        wire.at(20).send(Role::Listener, reset, 1500, 1001, 0);
        [Role::Opener, Role::Listener].map(|role| wire.connection.is_forgotten_by(role))
    };
    assert_eq!(closed(false, Flags::RST), [false, true]);
    assert_eq!(closed(false, Flags::RST | Flags::ACK), [false, false], "an abort of its own");
    assert_eq!(closed(true, Flags::RST), [false, false], "it has closed before");
}
