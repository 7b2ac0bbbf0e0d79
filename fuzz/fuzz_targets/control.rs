//! A control connection: text both ways in any segmentation, with losses, repetitions and segments out of order.
#![no_main]

mod common;

use arbitrary::Arbitrary;
use common::{PASSWORD, Text, endpoint, look_at, moment, placings, segment};
use ftpwhy::packet::Packet;
use ftpwhy::session::tracker::{Config, Leg, Tracker};
use ftpwhy::session::view::View;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Said<'a> {
    by_server: bool,
    /// None: the client sends its password.
    text: Option<Text<'a>>,
    /// Where the text is cut into two segments.
    cut: u8,
    fate: Fate,
    wait: u8,
}

/// What becomes of the two segments.
#[derive(Arbitrary, Debug)]
enum Fate {
    Whole,
    Split,
    Swapped,
    Twice,
    Overlapping,
    FirstLost,
    SecondLost,
    Shortened,
}

struct Wire {
    tracker: Tracker,
    /// What each end sends next.
    next: [u32; 2],
    millis: i64,
    frame: u32,
}

impl Wire {
    fn send(&mut self, from: usize, flags: u8, seq: u32, text: &[u8], uncaptured: u32) {
        self.frame += 1;
        let at = moment(self.millis, self.frame);
        let ends = [endpoint(0, 2), endpoint(1, 0)];
        let mut segment = segment(at, [ends[from], ends[1 - from]], flags, [seq, self.next[1 - from]], text);
        segment.text_len += uncaptured;
        self.tracker.advance(at.time);
        self.tracker.observe(&Packet::Segment(segment));
    }

    fn handshake(&mut self) {
        self.send(0, 0x02, 999, b"", 0);
        self.send(1, 0x12, 999, b"", 0);
        self.send(0, 0x10, 1000, b"", 0);
    }

    fn say(&mut self, said: &Said<'_>) {
        self.millis += i64::from(said.wait) * i64::from(said.wait);
        let from = usize::from(said.by_server && said.text.is_some());
        let password = || format!("\r\nPASS {PASSWORD}\r\n").into_bytes();
        let text = said.text.as_ref().map_or_else(password, Text::bytes);
        let seq = self.next[from];
        let (first, second) = text.split_at(usize::from(said.cut).min(text.len()));
        let behind = seq.wrapping_add(first.len() as u32);
        let mut send = |seq, text| self.send(from, 0x18, seq, text, 0);
        match said.fate {
            Fate::Whole => send(seq, &text),
            Fate::Split => [(seq, first), (behind, second)].into_iter().for_each(|(seq, text)| send(seq, text)),
            Fate::Swapped => [(behind, second), (seq, first)].into_iter().for_each(|(seq, text)| send(seq, text)),
            Fate::Twice => [(seq, &*text), (seq, &*text)].into_iter().for_each(|(seq, text)| send(seq, text)),
            Fate::Overlapping => [(seq, first), (seq, &*text)].into_iter().for_each(|(seq, text)| send(seq, text)),
            Fate::FirstLost => send(behind, second),
            Fate::SecondLost => send(seq, first),
            Fate::Shortened => self.send(from, 0x18, seq, first, second.len() as u32),
        }
        self.next[from] = seq.wrapping_add(text.len() as u32);
    }
}

fuzz_target!(|input: (bool, bool, Vec<Said<'_>>)| {
    let (begins, two_taps, talk) = input;
    let views = |taps: usize| -> Vec<Vec<Box<View>>> {
        let tap = |_| {
            let tracker = Tracker::new(Config { control_ports: vec![21], passive_range: None, leg: Leg::Both, sampled: false });
            let mut wire = Wire { tracker, next: [1000; 2], millis: 0, frame: 0 };
            if begins {
                wire.handshake();
            }
            talk.iter().for_each(|said| wire.say(said));
            wire.tracker.finish();
            std::iter::from_fn(|| wire.tracker.poll()).collect()
        };
        (0..taps).map(tap).collect()
    };
    let taps = 1 + usize::from(two_taps);
    look_at(views(taps), &placings(two_taps, taps));
});
