//! Views of a recording as they come from the field: cut, with losses, short frames, one port only, a wrong clock.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use ftpwhy::capture::file::TapReader;
use ftpwhy::packet::{Decoder, Endpoint, Packet};

use crate::damage::{Random, Records};
use crate::host::Fallible;

/// A view of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum View {
    /// As it was captured.
    Full,
    /// Every file ends somewhere, in mid-record if it so happens.
    CutEnd,
    /// Every file begins somewhere.
    CutBegin,
    /// One packet of a hundred is missing.
    Losses,
    /// 96 bytes of every frame.
    Snapped,
    /// The control connection only.
    OnePort,
    /// Every tap's clock is wrong by hours of its own.
    Clocks,
}

impl View {
    pub(crate) const ALL: [View; 7] =
        [View::Full, View::CutEnd, View::CutBegin, View::Losses, View::Snapped, View::OnePort, View::Clocks];
}

impl View {
    /// Chance has a part in it.
    pub(crate) fn is_random(self) -> bool {
        matches!(self, View::CutEnd | View::CutBegin | View::Losses)
    }
}

const SNAP: usize = 96;

/// Hours by which the clocks of the taps are wrong.
const HOURS: [i64; 6] = [0, 3, -2, 7, -5, 1];

/// Writes a view of one tap's file.
pub(crate) fn write(view: View, tap: usize, port: u16, from: &Path, to: &Path, random: &mut Random) -> Fallible<()> {
    let fail = |error: std::io::Error| format!("{}: {error}", from.display());
    let file = fs::read(from).map_err(fail)?;
    let mut records = Records::of(&file);
    let count = records.records.len();
    match view {
        View::Full => {}
        View::CutEnd => records.records.truncate(1 + random.below(count)),
        View::CutBegin => drop(records.records.drain(..random.below(count))),
        View::Losses => lose(&mut records, &connections(from)?, random),
        View::Snapped => records.snap(SNAP),
        View::OnePort => {
            let mut keep = control(from, port)?.into_iter();
            records.records.retain(|_| keep.next().unwrap_or(false));
        }
        View::Clocks => {
            for record in &mut records.records {
                let micros = Records::micros(record) + HOURS[tap % HOURS.len()] * 3_600_000_000;
                Records::set_micros(record, micros);
            }
        }
    }
    let mut file = records.file();
    if view == View::CutEnd && count > 0 && random.once_in(2) {
        file.truncate(file.len() - random.below(40));
    }
    fs::write(to, file).map_err(fail)
}

/// Takes one packet of a hundred away, and never all of a connection's: whoever misses a connection without a trace cannot
/// know that there was one.
fn lose(records: &mut Records, connections: &[Option<Passing>], random: &mut Random) {
    let lost: Vec<bool> = records.records.iter().map(|_| random.once_in(100)).collect();
    let of = |number: usize| connections.get(number).copied().flatten();
    let kept: HashSet<_> = (0..lost.len()).filter(|&number| !lost[number]).filter_map(of).collect();
    let mut numbers = 0..;
    records.records.retain(|_| {
        let number = numbers.next().unwrap_or_default();
        !lost[number] || of(number).is_some_and(|connection| !kept.contains(&connection))
    });
}

/// A connection on an interface.
type Passing = (u32, Endpoint, Endpoint);

/// The connection that each frame belongs to, if it is a segment.
fn connections(file: &Path) -> Fallible<Vec<Option<Passing>>> {
    frames(file, |packet| match packet {
        Packet::Segment(segment) => {
            let (one, other) = (segment.source, segment.destination);
            Some((segment.interface, one.min(other), one.max(other)))
        }
        _ => None,
    })
}

/// Which frames belong to the control connection.
fn control(file: &Path, port: u16) -> Fallible<Vec<bool>> {
    frames(file, |packet| match packet {
        Packet::Segment(segment) => [segment.source.port, segment.destination.port].contains(&port),
        _ => false,
    })
}

/// What `tell` tells of every frame.
fn frames<T>(file: &Path, tell: impl Fn(&Packet<'_>) -> T) -> Fallible<Vec<T>> {
    let mut reader = TapReader::open(&[file.to_owned()]).map_err(|error| error.to_string())?;
    let (mut decoder, mut frames) = (Decoder::new(), Vec::new());
    while let Some(frame) = reader.next() {
        frames.push(tell(&decoder.decode(&frame)));
    }
    Ok(frames)
}
