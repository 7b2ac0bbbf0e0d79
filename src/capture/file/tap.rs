//! All files of one tap as one stream of frames in time order.
//!
//! Files are sorted by the time of their first packet; then one file has the turn for as long as its next packet is
//! not later than the first of those that wait. So a rotated capture is read file after file, captures of two
//! interfaces are merged packet by packet, and a single file costs one comparison. Within a file, frames stay in the
//! file's order. Only files whose turn has come, and that have not ended, are open.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use crate::cite::Time;
use crate::packet::Frame;

use super::buffer::READ;
use super::error::{FileError, shown};
use super::facts::{Facts, NoteKind};
use super::input::comes_once;
use super::stream::Stream;

/// Bytes read of each of several files to see the time of its first packet.
const GLANCE: usize = 16 << 10;

/// Reads the files of one tap.
pub struct TapReader {
    /// In the order of `At::file`.
    sources: Vec<Source>,
    facts: Facts,
    /// Whose turn it is.
    turn: u16,
    /// The other sources that have packets, by the time of their next; unopened ones by that of their first.
    waiting: BinaryHeap<Reverse<(Time, u16)>>,
    /// The head of `waiting`: the source whose turn it is goes on up to here.
    limit: (Time, u16),
}

/// One file.
struct Source {
    path: PathBuf,
    /// Length in bytes; none if the bytes come once only.
    len: Option<u64>,
    state: State,
}

enum State {
    Unopened,
    Open {
        stream: Box<Stream>,
        /// Whether the packet that the stream found last is still to be given: it had to wait for its time.
        waited: bool,
    },
    /// After as many bytes.
    Closed {
        read: u64,
    },
}

impl TapReader {
    /// Opens the capture files of one tap; `-` is standard input.
    ///
    /// Of a single file, its header is read. Of several, each is opened for a glance at its first packet and closed
    /// again, except pipes and standard input, which are opened when frames are first asked for and come first.
    ///
    /// # Errors
    /// What is wrong with the first file if none can be read. A file that cannot be read among others that can is a
    /// [`Note`](super::Note) in the [`facts`](Self::facts).
    pub fn open(paths: &[PathBuf]) -> Result<TapReader, FileError> {
        match paths {
            [] => Err(FileError::NoFiles),
            [path] => TapReader::of_one(path),
            _ if paths.len() > MAX_FILES => Err(FileError::TooMany(paths.len())),
            _ => TapReader::of_several(paths),
        }
    }

    fn of_one(path: &Path) -> Result<TapReader, FileError> {
        let mut facts = Facts::new(names(&[path]));
        let mut source = Source::new(path);
        source.state = State::Open { stream: Box::new(Stream::open(path, READ, 0, &mut facts)?), waited: false };
        Ok(TapReader { sources: vec![source], facts, turn: 0, waiting: BinaryHeap::new(), limit: LAST })
    }

    fn of_several(paths: &[PathBuf]) -> Result<TapReader, FileError> {
        let mut glances: Vec<_> = paths.iter().map(|path| (path.as_path(), first_time(path))).collect();
        if glances.iter().all(|(_, time)| time.is_err()) {
            return Err(glances.swap_remove(0).1.expect_err("all are errors"));
        }
        glances.sort_by_key(|(_, time)| *time.as_ref().unwrap_or(&LAST.0));
        let sorted: Vec<&Path> = glances.iter().map(|(path, _)| *path).collect();
        let mut tap = TapReader {
            sources: sorted.iter().map(|path| Source::new(path)).collect(),
            facts: Facts::new(names(&sorted)),
            turn: 0,
            waiting: BinaryHeap::new(),
            limit: LAST,
        };
        for (file, (_, glance)) in (0..).zip(glances) {
            match glance {
                Ok(time) => tap.waiting.push(Reverse((time, file))),
                Err(error) => tap.give_up(file, &error),
            }
        }
        tap.pass_turn();
        Ok(tap)
    }

    /// The next frame of the tap; none at the end of all files. It waits for packets of pipes, but reads none ahead.
    #[allow(clippy::should_implement_trait)] // an Iterator cannot lend
    #[inline]
    pub fn next(&mut self) -> Option<Frame<'_>> {
        while !self.advance() {
            if !self.pass_turn() {
                return None;
            }
        }
        match &self.sources[usize::from(self.turn)].state {
            State::Open { stream, .. } => Some(stream.frame()),
            State::Unopened | State::Closed { .. } => None,
        }
    }

    /// What is known of the files so far.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Bytes of the files (as they are stored: packed) that have been read, and that there are; the latter is none
    /// if packets come through a pipe.
    pub fn position(&self) -> (u64, Option<u64>) {
        let read = self.sources.iter().map(Source::bytes_read).sum();
        let total = self.sources.iter().map(|source| source.len).sum::<Option<u64>>();
        (read, total.map(|total| total.max(read)))
    }

    /// Goes on to the next packet of the source whose turn it is. False if the source has ended or has to wait.
    #[inline]
    fn advance(&mut self) -> bool {
        let source = &mut self.sources[usize::from(self.turn)];
        let State::Open { stream, waited } = &mut source.state else {
            return self.open_and_advance();
        };
        if !std::mem::take(waited) && !stream.next(&mut self.facts) {
            source.state = State::Closed { read: stream.bytes_read() };
            return false;
        }
        let now = (stream.time(), self.turn);
        if now > self.limit {
            *waited = true;
            self.waiting.push(Reverse(now));
            return false;
        }
        true
    }

    #[cold]
    fn open_and_advance(&mut self) -> bool {
        let source = &mut self.sources[usize::from(self.turn)];
        if let State::Closed { .. } = source.state {
            return false;
        }
        match Stream::open(&source.path, READ, self.turn, &mut self.facts) {
            Ok(stream) => {
                source.state = State::Open { stream: Box::new(stream), waited: false };
                self.advance()
            }
            Err(error) => {
                self.give_up(self.turn, &error);
                false
            }
        }
    }

    fn give_up(&mut self, file: u16, error: &FileError) {
        self.facts.note(file, NoteKind::Unreadable, error.to_string());
        self.sources[usize::from(file)].state = State::Closed { read: 0 };
    }

    /// Gives the turn to the source that is first; false if there is none.
    fn pass_turn(&mut self) -> bool {
        let Some(Reverse((_, next))) = self.waiting.pop() else {
            return false;
        };
        self.turn = next;
        self.limit = self.waiting.peek().map_or(LAST, |Reverse(limit)| *limit);
        true
    }
}

impl Source {
    fn new(path: &Path) -> Source {
        let len = if comes_once(path) { None } else { Some(fs::metadata(path).map_or(0, |it| it.len())) };
        Source { path: path.to_owned(), len, state: State::Unopened }
    }

    fn bytes_read(&self) -> u64 {
        match &self.state {
            State::Unopened => 0,
            State::Open { stream, .. } => stream.bytes_read(),
            State::Closed { read } => *read,
        }
    }
}

/// As many files as `At::file` can number.
const MAX_FILES: usize = u16::MAX as usize + 1;

/// After everything.
const LAST: (Time, u16) = (Time(i64::MAX), u16::MAX);

/// The time of the first packet of one of several files: [`LAST`] if there is none, the first of all times if it
/// cannot be known without taking packets away.
fn first_time(path: &Path) -> Result<Time, FileError> {
    if comes_once(path) {
        return Ok(Time(i64::MIN));
    }
    let mut facts = Facts::new(names(&[path]));
    let mut stream = Stream::open(path, GLANCE, 0, &mut facts)?;
    Ok(if stream.next(&mut facts) { stream.time() } else { LAST.0 })
}

/// What to call the files: by their file names, or by their paths where two have the same.
fn names(paths: &[&Path]) -> Vec<String> {
    let short = |path: &Path| path.file_name().map_or_else(|| shown(path), |name| shown(Path::new(name)));
    let mut uses = HashMap::new();
    for path in paths {
        *uses.entry(short(path)).or_insert(0_usize) += 1;
    }
    paths.iter().map(|path| if uses[&short(path)] > 1 { shown(path) } else { short(path) }).collect()
}
