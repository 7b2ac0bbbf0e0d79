//! The timeline of a session, which is almost all of the form. Measured: `serde_json` looks at each byte of each name and
//! word for what has to be escaped, which takes longer than all else that a session costs; so what is known to be plain is
//! written by hand here.

use std::fmt::Write;

use memchr::memchr2;
use serde::Serialize;

use crate::cite::Time;
use crate::language::Language;
use crate::line::Side;
use crate::plain::is_plain;
use crate::report::json::{Harmless, Text};
use crate::report::names;
use crate::report::time::Rfc3339;
use crate::report::timeline::{Threads, Told, moments};
use crate::report::words::Names;
use crate::session::join::Session;
use crate::session::view::{CONTROL, Event, View};
use crate::verdict::{Case, TapFacts};

/// Appends the array of all events of all taps.
pub(super) fn write(out: &mut Vec<u8>, session: &Session, taps: &[TapFacts]) -> serde_json::Result<()> {
    let threads = Threads::of(session);
    let names = Names::of(Case { session, taps, transfer: None });
    let taps = (0..session.sights.len()).map(|sight| {
        let mut name = Vec::new();
        push_string(&mut name, names.tap(sight).as_bytes()).map(|()| name)
    });
    let taps = taps.collect::<Result<_, _>>()?;
    let mut events = Events { out, names, taps, stamp: Stamp::default(), words: String::new() };
    let mut before = b'[';
    for moment in moments(session) {
        let Some(view) = session.view(moment.sight) else { continue };
        let Some(event) = view.log.get(moment.index) else { continue };
        events.out.push(before);
        events.event(view, event, moment.sight, threads[moment.sight].transfer(moment.index, event))?;
        before = b',';
    }
    out.extend_from_slice(if before == b'[' { b"[]" } else { b"]" });
    Ok(())
}

/// Writes events, one after the other.
struct Events<'a> {
    out: &'a mut Vec<u8>,
    names: Names<'a>,
    /// The names of the taps as strings of JSON.
    taps: Vec<Vec<u8>>,
    stamp: Stamp,
    /// What we say of an event.
    words: String,
}

impl Events<'_> {
    fn event(&mut self, view: &View, event: &Event, sight: usize, transfer: Option<u32>) -> serde_json::Result<()> {
        self.raw("{\"time\":\"");
        self.stamp.write(self.out, event.at.time);
        self.raw("\",\"tap\":");
        self.out.extend_from_slice(&self.taps[sight]);
        self.raw(",\"frame\":");
        push_number(self.out, event.at.frame);
        if let Some(file) = self.names.rotated(sight, event.at) {
            self.raw(",\"file\":");
            push_string(self.out, file.as_bytes())?;
        }
        self.raw(",\"connection\":\"");
        self.raw(if event.attempt == CONTROL { "control" } else { "data" });
        self.raw("\",\"transfer\":");
        match transfer {
            Some(number) => push_number(self.out, number),
            None => self.raw("null"),
        }
        self.raw(",\"direction\":\"");
        self.raw(if event.toward == Side::Server { "to-server" } else { "to-client" });
        self.raw("\",\"event\":\"");
        self.raw(names::event(event.kind));
        self.raw("\",\"text\":");
        self.told(&Told::of(view, event))?;
        self.raw("}");
        Ok(())
    }

    fn told(&mut self, told: &Told<'_>) -> serde_json::Result<()> {
        match told {
            Told::Quote(bytes) => push_string(self.out, bytes),
            Told::Words(text) => {
                self.words.clear();
                let _ = write!(self.words, "{}", text.to(Language::English));
                push_string(self.out, self.words.as_bytes())
            }
        }
    }

    /// What has nothing to escape.
    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}

/// Appends bytes that may be anything.
fn push_string(out: &mut Vec<u8>, bytes: &[u8]) -> serde_json::Result<()> {
    if is_plain(bytes) && memchr2(b'"', b'\\', bytes).is_none() {
        out.push(b'"');
        out.extend_from_slice(bytes);
        out.push(b'"');
        return Ok(());
    }
    let mut serializer = serde_json::Serializer::with_formatter(out, Harmless);
    Text(bytes).serialize(&mut serializer)
}

/// Appends the digits of a number.
fn push_number(out: &mut Vec<u8>, number: u32) {
    let mut digits = [0; 10];
    let mut left = number;
    let mut first = digits.len();
    while left > 0 || first == digits.len() {
        first -= 1;
        digits[first] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    out.extend_from_slice(&digits[first..]);
}

/// Moments as [`Rfc3339`] has them; the events of a second share all but its fraction.
#[derive(Default)]
struct Stamp {
    second: i64,
    /// All up to the decimal point and with it; empty if there is no second yet.
    shared: String,
}

impl Stamp {
    fn write(&mut self, out: &mut Vec<u8>, time: Time) {
        let (second, mut fraction) = (time.0.div_euclid(1_000_000_000), time.0.rem_euclid(1_000_000_000));
        if self.shared.is_empty() || self.second != second {
            self.second = second;
            self.shared = Rfc3339(time).to_string();
            self.shared.truncate(self.shared.len() - "123456789Z".len());
        }
        let mut digits = *b"000000000Z";
        for digit in digits[..9].iter_mut().rev() {
            *digit = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
        out.extend_from_slice(self.shared.as_bytes());
        out.extend_from_slice(&digits);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 9, 10, 1_000_000_007, u32::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }

    proptest! {
        #[test]
        fn stamps_are_moments(times in prop::collection::vec(any::<i64>(), 1..4), steps in prop::collection::vec(-2_000_000_000_i64..2_000_000_000, 0..6)) {
            let mut stamp = Stamp::default();
            let near = steps.iter().map(|&step| times[0].saturating_add(step));
            for time in times.iter().copied().chain(near) {
                let mut out = Vec::new();
                stamp.write(&mut out, Time(time));
                prop_assert_eq!(String::from_utf8_lossy(&out), Rfc3339(Time(time)).to_string());
            }
        }
    }
}
