//! A control connection: text both ways in any segmentation, with losses, repetitions and segments out of order.
#![no_main]

mod common;

use arbitrary::Arbitrary;
use common::{Text, endpoint, look_at, moment, placings, segment};
use ftpwhy::packet::Packet;
use ftpwhy::session::tracker::{Config, Leg, Tracker};
use ftpwhy::session::view::View;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Said<'a> {
    by_server: bool,
    text: Text<'a>,
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
    Shortened(u8),
}

/// One end of the connection as the capture sees it.
struct End {
    next: u32,
}

struct Wire {
    tracker: Tracker,
    ends: [End; 2],
    millis: i64,
    frame: u32,
}

impl Wire {
    fn send(&mut self, from: usize, flags: u8, seq: u32, text: &[u8], uncaptured: u32) {
        self.frame += 1;
        let at = moment(self.millis, self.frame);
        let ends = [endpoint(0, 2), endpoint(1, 0)];
        let mut segment =
            segment(at, [ends[from], ends[1 - from]], flags, [seq, self.ends[1 - from].next], text);
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
        let from = usize::from(said.by_server);
        let text = said.text.bytes();
        let seq = self.ends[from].next;
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
            Fate::Shortened(by) => self.send(from, 0x18, seq, first, u32::from(by) + second.len() as u32),
        }
        self.ends[from].next = seq.wrapping_add(text.len() as u32);
    }
}

fuzz_target!(|input: (bool, bool, Vec<Said<'_>>)| {
    let (begins, two_taps, talk) = input;
    let views = |taps: usize| -> Vec<Vec<View>> {
        let tap = |_| {
            let tracker = Tracker::new(Config { control_ports: vec![21], passive_range: None, leg: Leg::Both });
            let mut wire = Wire { tracker, ends: [End { next: 1000 }, End { next: 1000 }], millis: 0, frame: 0 };
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
