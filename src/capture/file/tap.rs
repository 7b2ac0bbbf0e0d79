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
use super::mark::Mark;
use super::stream::Stream;

/// Bytes read of each of several files to see the time of its first packet.
const GLANCE: usize = 16 << 10;

/// As many files as `At::file` can number.
const MAX_FILES: usize = u16::MAX as usize + 1;

/// After everything.
const LAST: Time = Time(i64::MAX);

/// Reads the files of one tap.
pub struct TapReader {
    /// In the order of `At::file`.
    sources: Vec<Source>,
    facts: Facts,
    /// Whose turn it is.
    turn: u16,
    /// The source whose turn it is; none at the end of all files.
    current: Option<Box<Stream>>,
    /// The current source's packets up to this time are given before the turn passes on.
    until: Time,
    /// The packet that comes next has been found already.
    peeked: bool,
    /// The other sources that have packets, by the time of their next; unopened ones by that of their first.
    waiting: BinaryHeap<Reverse<(Time, u16)>>,
}

/// One file.
struct Source {
    path: PathBuf,
    /// Length in bytes; none if the bytes come once only.
    len: Option<u64>,
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Unopened,
    /// It has the turn.
    Current,
    /// The packet that it found last waits for its time.
    Waiting(Box<Stream>),
    /// After as many bytes.
    Closed(u64),
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
            [path] => TapReader::of_one(path, None),
            _ if paths.len() > MAX_FILES => Err(FileError::TooMany(paths.len())),
            _ => TapReader::of_several(paths),
        }
    }

    /// Opens an annotated file for one of the captures that it holds, by its number in their [`Mark`]s.
    ///
    /// # Errors
    /// What is wrong with the file if it cannot be read.
    pub fn open_one_of(path: &Path, capture: u32) -> Result<TapReader, FileError> {
        TapReader::of_one(path, Some(capture))
    }

    fn of_one(path: &Path, only: Option<u32>) -> Result<TapReader, FileError> {
        let mut tap = TapReader::new(&[path]);
        tap.facts.only = only;
        tap.current = Some(Box::new(Stream::open(path, READ, 0, &mut tap.facts)?));
        tap.sources[0].state = State::Current;
        Ok(tap)
    }

    fn of_several(paths: &[PathBuf]) -> Result<TapReader, FileError> {
        let mut glances: Vec<_> = paths.iter().map(|path| (path.as_path(), first_time(path))).collect();
        if glances.iter().all(|(_, time)| time.is_err()) {
            return Err(glances.swap_remove(0).1.expect_err("all are errors"));
        }
        glances.sort_by_key(|(_, time)| *time.as_ref().unwrap_or(&LAST));
        let sorted: Vec<&Path> = glances.iter().map(|(path, _)| *path).collect();
        let mut tap = TapReader::new(&sorted);
        for (file, (_, glance)) in (0..).zip(glances) {
            match glance {
                Ok(time) => tap.waiting.push(Reverse((time, file))),
                Err(error) => tap.give_up(file, &error),
            }
        }
        Ok(tap)
    }

    /// A reader of `files`, none of them open.
    fn new(files: &[&Path]) -> TapReader {
        TapReader {
            sources: files.iter().map(|path| Source::new(path)).collect(),
            facts: Facts::new(names(files)),
            turn: 0,
            current: None,
            until: LAST,
            peeked: false,
            waiting: BinaryHeap::new(),
        }
    }

    /// The next frame of the tap; none at the end of all files. It waits for packets of pipes, but reads none ahead.
    #[allow(clippy::should_implement_trait)] // an Iterator cannot lend
    #[inline(always)] // down to the walker: measured, calls take three to five hundredths of a capture of other traffic
    pub fn next(&mut self) -> Option<Frame<'_>> {
        if !std::mem::take(&mut self.peeked) && !self.advance() {
            self.pass_turn();
        }
        self.current.as_ref().map(|stream| stream.frame())
    }

    /// The frame that [`TapReader::next`] will give. What the files say before it is known then.
    pub fn peek(&mut self) -> Option<Frame<'_>> {
        if !self.peeked && !self.advance() {
            self.pass_turn();
        }
        self.peeked = self.current.is_some();
        self.current.as_ref().map(|stream| stream.frame())
    }

    /// What is known of the files so far.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Bytes of the files (as they are stored: packed) that have been read, and that there are; the latter is none
    /// if packets come through a pipe.
    pub fn position(&self) -> (u64, Option<u64>) {
        let others: u64 = self.sources.iter().map(Source::bytes_read).sum();
        let read = others + self.current.as_ref().map_or(0, |stream| stream.bytes_read());
        let total = self.sources.iter().map(|source| source.len).sum::<Option<u64>>();
        (read, total.map(|total| total.max(read)))
    }

    /// Goes on to the next packet of the current source. False if it has none, or none that comes next in the tap.
    #[inline(always)]
    fn advance(&mut self) -> bool {
        let Some(stream) = &mut self.current else { return false };
        if stream.next(&mut self.facts) { stream.time() <= self.until } else { self.close() }
    }

    /// The current source has ended.
    #[cold]
    fn close(&mut self) -> bool {
        let read = self.current.take().map_or(0, |stream| stream.bytes_read());
        self.sources[usize::from(self.turn)].state = State::Closed(read);
        false
    }

    /// Gives the turn to the source whose packet comes next, if there is one.
    #[cold]
    fn pass_turn(&mut self) {
        if let Some(stream) = self.current.take() {
            self.wait(self.turn, stream);
        }
        while let Some(Reverse((_, file))) = self.waiting.pop() {
            match std::mem::take(&mut self.sources[usize::from(file)].state) {
                State::Waiting(stream) => return self.give_turn(file, stream),
                State::Unopened | State::Current | State::Closed(_) => self.begin(file),
            }
        }
    }

    fn give_turn(&mut self, file: u16, stream: Box<Stream>) {
        self.turn = file;
        self.until = match self.waiting.peek() {
            Some(Reverse((time, other))) if file < *other => *time,
            Some(Reverse((time, _))) => Time(time.0.saturating_sub(1)),
            None => LAST,
        };
        self.current = Some(stream);
        self.sources[usize::from(file)].state = State::Current;
    }

    /// Opens a source and finds its first packet.
    fn begin(&mut self, file: u16) {
        let source = &mut self.sources[usize::from(file)];
        match Stream::open(&source.path, READ, file, &mut self.facts) {
            Ok(mut stream) => {
                if stream.next(&mut self.facts) {
                    self.wait(file, Box::new(stream));
                } else {
                    source.state = State::Closed(stream.bytes_read());
                }
            }
            Err(error) => self.give_up(file, &error),
        }
    }

    /// Keeps a source until the time of the packet that it found has come.
    fn wait(&mut self, file: u16, stream: Box<Stream>) {
        self.waiting.push(Reverse((stream.time(), file)));
        self.sources[usize::from(file)].state = State::Waiting(stream);
    }

    fn give_up(&mut self, file: u16, error: &FileError) {
        self.facts.note(file, NoteKind::Unreadable, error.to_string());
        self.sources[usize::from(file)].state = State::Closed(0);
    }
}

impl Source {
    fn new(path: &Path) -> Source {
        let len = if comes_once(path) { None } else { Some(fs::metadata(path).map_or(0, |it| it.len())) };
        Source { path: path.to_owned(), len, state: State::Unopened }
    }

    /// Bytes read while it did not have the turn.
    fn bytes_read(&self) -> u64 {
        match &self.state {
            State::Unopened | State::Current => 0,
            State::Waiting(stream) => stream.bytes_read(),
            State::Closed(read) => *read,
        }
    }
}

/// What an annotated file says of the captures that it holds, in their order; nothing of any other file, of several, or of
/// one that cannot be read twice.
pub fn marks(paths: &[PathBuf]) -> Vec<Mark> {
    let [path] = paths else { return Vec::new() };
    let mut facts = Facts::new(names(&[path]));
    if !comes_once(path)
        && let Ok(mut stream) = Stream::open(path, GLANCE, 0, &mut facts)
    {
        stream.next(&mut facts);
    }
    let mut marks: Vec<Mark> = facts.interfaces.into_iter().filter_map(|interface| Some(*interface.mark?)).collect();
    marks.sort_by_key(|mark| mark.capture);
    marks.dedup_by_key(|mark| mark.capture);
    marks
}

/// The time of the first packet of one of several files: [`LAST`] if there is none, the first of all times if it
/// cannot be known without taking packets away.
fn first_time(path: &Path) -> Result<Time, FileError> {
    if comes_once(path) {
        return Ok(Time(i64::MIN));
    }
    let mut facts = Facts::new(names(&[path]));
    let mut stream = Stream::open(path, GLANCE, 0, &mut facts)?;
    Ok(if stream.next(&mut facts) { stream.time() } else { LAST })
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

#[cfg(test)]
mod tests;
