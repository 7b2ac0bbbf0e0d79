//! Text of a control connection in any segmentation, both ways, with losses and repetitions.
#![no_main]

mod common;

use arbitrary::Arbitrary;
use common::{PASSWORD, endpoint, look_at, moment, segment};
use ftpwhy::packet::Packet;
use ftpwhy::session::tracker::{Config, Leg, Tracker};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Say {
    Client(Vec<u8>),
    Server(Vec<u8>),
    Password,
    Line(u8),
    Lose(bool, u8),
    Again(bool, u8),
    Wait(u16),
}

/// Lines that lead somewhere.
const LINES: [(bool, &str); 14] = [
    (true, "USER me\r\n"),
    (false, "331 password\r\n"),
    (false, "230 in\r\n"),
    (true, "PASV\r\n"),
    (false, "227 Entering Passive Mode (10,0,0,2,195,80).\r\n"),
    (true, "PORT 10,0,0,1,156,64\r\n"),
    (false, "200 ok\r\n"),
    (true, "RETR file\r\n"),
    (false, "150 coming\r\n"),
    (false, "226 done\r\n"),
    (false, "425 failed\r\n"),
    (true, "AUTH TLS\r\n"),
    (false, "234 go\r\n"),
    (true, "ABOR\r\n"),
];

fuzz_target!(|says: Vec<Say>| {
    let mut tracker = Tracker::new(Config { control_ports: vec![21], passive_range: None, leg: Leg::Both });
    let ends = [endpoint(0, 2), endpoint(1, 0)];
    let (mut next, mut millis, mut frame) = ([1000_u32, 1000_u32], 0_i64, 0_u32);
    let mut send = |from: usize, seq: u32, ack: u32, text: &[u8], wait: i64| {
        millis += wait;
        frame += 1;
        let at = moment(millis, frame);
        tracker.advance(at.time);
        tracker.observe(&Packet::Segment(segment(at, ends[from], ends[1 - from], 0x18, seq, ack, text)));
    };
    let password = format!("\r\nPASS {PASSWORD}\r\n");
    for say in &says {
        let (from, text): (usize, &[u8]) = match say {
            Say::Client(text) => (0, text),
            Say::Server(text) => (1, text),
            Say::Password => (0, password.as_bytes()),
            Say::Line(line) => {
                let (client, line) = LINES[usize::from(*line) % LINES.len()];
                (usize::from(!client), line.as_bytes())
            }
            Say::Lose(client, bytes) => {
                next[usize::from(!client)] = next[usize::from(!client)].wrapping_add(u32::from(*bytes));
                continue;
            }
            Say::Again(client, back) => {
                let from = usize::from(!client);
                send(from, next[from].wrapping_sub(u32::from(*back)), next[1 - from], b"again\r\n", 300);
                continue;
            }
            Say::Wait(millis) => {
                send(0, next[0], next[1], b"", i64::from(*millis));
                continue;
            }
        };
        send(from, next[from], next[1 - from], text, 1);
        next[from] = next[from].wrapping_add(text.len() as u32);
    }
    tracker.finish();
    look_at(vec![std::iter::from_fn(|| tracker.poll()).collect()]);
});
