//! Floor 6: the packets of sessions, kept in one pcapng file with comments on those that decide.
//!
//! [`Annotation`] remembers of every session which of its packets these are. Packets themselves are not kept in memory: they
//! are read from the captures again, once to find what is secret in the words of control connections (`secrets`), once to be
//! written (`packets` tells which they are). Of data segments, of what ICMP errors quote, and of fragments only headers are kept.
//!
//! Each capture becomes an interface, or several if it had several. Their [`Mark`]s say what no packet can, so that a replay
//! of the file finds the captures in it and comes to the same verdicts. Every capture keeps its own clock and order; the
//! captures among each other are put in the order of the session's main clock.

mod packets;
mod secrets;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::capture::file::{FileError, Interface, Mark, PcapngWriter, comes_once};
use crate::cite::At;
use crate::language::counted;
use crate::line::Place;
use crate::packet::{Direction, Frame};
use crate::replay::Replay;
use crate::report::{comments, standing};
use crate::session::join::Session;
use crate::verdict::{Judgement, TapFacts};
use packets::{Passing, Picked, Picker, Position, position};
use secrets::Secrets;

/// Verdicts that the file says of itself; all of them are said of packets.
const MAX_TOLD: usize = 50;

/// What a byte of a password becomes.
const FILLER: u8 = b'*';

/// Why there is no annotated file.
#[derive(Debug, Error)]
pub enum AnnotateError {
    /// A capture comes through a pipe.
    #[error("cannot annotate {}: what comes through a pipe cannot be read again; save it in a file first", .0.display())]
    ComesOnce(PathBuf),
    /// The file would replace one of the captures.
    #[error("cannot write {}: it is one of the captures; name another file", .0.display())]
    Capture(PathBuf),
    /// A capture cannot be read again.
    #[error(transparent)]
    Read(#[from] FileError),
    /// The file cannot be written.
    #[error("cannot write the annotated file: {0}")]
    Write(#[from] io::Error),
}

/// Whether the captures of a replay can be annotated in the file at `path`.
///
/// # Errors
/// A capture cannot be read twice, or is that file itself.
pub fn check(path: &Path, replay: &Replay) -> Result<(), AnnotateError> {
    let same =
        |other: &PathBuf| fs::canonicalize(path).is_ok_and(|path| fs::canonicalize(other).is_ok_and(|it| it == path));
    for capture in replay.captures.iter().flat_map(|capture| &capture.paths) {
        match capture {
            capture if comes_once(capture) => return Err(AnnotateError::ComesOnce(capture.clone())),
            capture if same(capture) => return Err(AnnotateError::Capture(path.to_owned())),
            _ => {}
        }
    }
    Ok(())
}

/// What an annotated file is to hold.
#[derive(Debug, Default)]
pub struct Annotation {
    sessions: u64,
    /// What is said of each session.
    verdicts: Vec<String>,
    passings: Vec<Passing>,
    /// By capture and packet.
    comments: HashMap<(usize, Position), Vec<String>>,
    /// Where each tap stands.
    standings: HashMap<usize, String>,
    /// The facts of the taps that the latest session was judged by.
    taps: Vec<TapFacts>,
}

impl Annotation {
    /// Adds a session. `taps` are the facts of the taps, by the order in which they were given.
    pub fn add(&mut self, session: &Session, judgement: &Judgement, taps: &[TapFacts]) {
        self.sessions += 1;
        self.taps = taps.to_vec();
        let capture = |sight: usize| taps[session.sights[sight].tap].capture;
        for (sight, content) in session.sights.iter().enumerate() {
            self.standings.entry(content.tap).or_insert_with(|| standing(session, sight, taps));
            if let Some(view) = &content.view {
                self.passings.push(Passing::of(view, capture(sight), content.offset_ns));
            }
        }
        let said = comments(session, judgement, taps);
        self.verdicts.extend(said.verdicts);
        for (sight, at, text) in said.packets {
            let texts = self.comments.entry((capture(sight), position(at))).or_default();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
    }

    /// Whether a session has to be kept with another, which is judged by both: their data connection runs between two servers.
    pub fn needs(session: &Session) -> bool {
        session.main().transfers.iter().any(|transfer| transfer.between_servers)
    }

    /// Writes the file, with passwords if `keep_secrets`. `taps` are the facts of the taps at the end of the replay.
    ///
    /// # Errors
    /// A capture cannot be read again, or the file not be written.
    pub fn write(
        mut self,
        file: File,
        replay: &Replay,
        taps: &[TapFacts],
        keep_secrets: bool,
    ) -> Result<(), AnnotateError> {
        if self.taps.is_empty() {
            self.taps = taps.to_vec();
        }
        let mut out = PcapngWriter::begin(file, Some(&self.about(keep_secrets)))?;
        let captures = (0..replay.captures.len()).filter(|&capture| self.first_tap(capture).is_some());
        let mut sources: Vec<Source<'_>> =
            captures.map(|capture| self.source(replay, capture, keep_secrets)).collect::<Result<_, _>>()?;
        for source in &mut sources {
            source.describe(&mut out, source.first_interface)?;
            source.advance();
        }
        let next = |sources: &[Source<'_>]| {
            let heads = sources.iter().enumerate().filter_map(|(at, source)| Some((source.head.as_ref()?.moment, at)));
            heads.min().map(|(_, at)| at)
        };
        while let Some(at) = next(&sources) {
            sources[at].write_head(&mut out, &self.comments)?;
            sources[at].advance();
        }
        for source in &sources {
            if source.facts.lost > 0 {
                out.dropped(source.numbers[&source.first_interface], source.facts.census.ended, source.facts.lost)?;
            }
        }
        Ok(out.flush()?)
    }

    /// The first tap of a capture, if that could be opened.
    fn first_tap(&self, capture: usize) -> Option<usize> {
        self.taps.iter().position(|tap| tap.capture == capture)
    }

    /// What the file says of itself.
    fn about(&self, keep_secrets: bool) -> String {
        let mut names: Vec<&str> = self.taps.iter().map(|tap| &*tap.name).collect();
        names.dedup(); // the legs of one capture have one
        let (sessions, names) = (counted!(self.sessions, "session").english(), names.join(", "));
        let mut lines =
            vec![format!("{sessions} of {names}, kept by ftpwhy; `ftpwhy replay FILE` judges this file alike.")];
        lines.extend(self.verdicts.iter().take(MAX_TOLD).cloned());
        if let Some(more) = self.verdicts.len().checked_sub(MAX_TOLD).filter(|&more| more > 0) {
            lines.push(format!("And {} in comments on packets.", counted!(more as u64, "more verdict").english()));
        }
        lines.push("Of data connections, quotes and fragments only headers are kept.".to_owned());
        lines.push(match keep_secrets {
            true => "Passwords are as they were.".to_owned(),
            false => "Passwords are overwritten with *, and the checksums follow.".to_owned(),
        });
        if self.taps.iter().any(|tap| !tap.states.is_empty()) {
            lines.push("What snapshots of hosts tell is not in it: give them to the replay again.".to_owned());
        }
        lines.join("\n")
    }

    /// A capture, to be read again. It must be in the taps.
    fn source<'a>(&'a self, replay: &'a Replay, capture: usize, keep_secrets: bool) -> Result<Source<'a>, FileError> {
        let tap = self.first_tap(capture).unwrap_or_default();
        let secrets = if keep_secrets { None } else { Some(Secrets::of(self.picker(replay, capture)?)) };
        let mut picker = self.picker(replay, capture)?;
        let first_interface = picker.first_interface();
        let taps = self.taps.iter().filter(|tap| tap.capture == capture);
        let count = taps.clone().count();
        let facts = &self.taps[tap];
        let (control_ports, passive_range) = replay.sought(picker.facts().marks().next());
        let mark = Mark {
            capture: capture as u32,
            name: facts.name.clone(),
            place: replay.captures[capture].place.unwrap_or(Place::Unknown),
            taps: count as u32,
            began: facts.census.began.map(|time| time.0),
            ended: facts.census.ended.0,
            other_traffic: taps.clone().any(|tap| tap.census.other_traffic),
            data_unseen: taps.map(|tap| tap.census.data_unseen).max().unwrap_or(0),
            cut: facts.cut,
            control_ports,
            passive_range: passive_range.map(|range| range.into_inner()),
        };
        let words = self.standings.get(&tap).map(String::as_str);
        let addresses = replay.captures[capture].addresses(picker.facts());
        let model =
            Interface { filter: facts.filter.clone(), addresses, mark: Some(Box::new(mark)), ..Interface::default() };
        let numbers = HashMap::new();
        Ok(Source { capture, picker, secrets, facts, model, words, first_interface, numbers, head: None })
    }

    fn picker<'a>(&'a self, replay: &Replay, capture: usize) -> Result<Picker<'a>, FileError> {
        let passings = self.passings.iter().filter(move |passing| passing.capture == capture).collect();
        Ok(Picker::new(replay.captures[capture].open()?, replay.filter.as_ref(), passings))
    }
}

/// A capture that is read again.
struct Source<'a> {
    capture: usize,
    picker: Picker<'a>,
    /// What is secret in it, if that is overwritten.
    secrets: Option<Secrets>,
    /// Of its first tap.
    facts: &'a TapFacts,
    /// What its interfaces have in common.
    model: Interface,
    /// Where it was taken.
    words: Option<&'a str>,
    /// The interface of its first packet.
    first_interface: u32,
    /// Numbers in the annotated file, by those in the capture.
    numbers: HashMap<u32, u32>,
    /// The packet that it comes next with.
    head: Option<Kept>,
}

/// A packet as it is kept.
struct Kept {
    /// On the main clock of its session, in nanoseconds since 1970.
    moment: i64,
    at: At,
    interface: u32,
    link_type: u32,
    direction: Option<Direction>,
    bytes: Vec<u8>,
    original_len: u32,
}

impl Source<'_> {
    /// Finds the next packet to keep.
    fn advance(&mut self) {
        let Source { picker, secrets, head, .. } = self;
        *head = None;
        while head.is_none() && picker.step(|picked| *head = Some(kept(&picked, secrets.as_ref()))) {}
    }

    fn write_head(
        &mut self,
        out: &mut PcapngWriter,
        comments: &HashMap<(usize, Position), Vec<String>>,
    ) -> io::Result<()> {
        let Some(Kept { at, interface, link_type, direction, bytes, original_len, .. }) = self.head.take() else {
            return Ok(());
        };
        let number = match self.numbers.get(&interface) {
            Some(&number) => number,
            None => self.describe(out, interface)?,
        };
        let comments = comments.get(&(self.capture, position(at))).map_or(&[][..], |texts| texts);
        out.write(number, &Frame { at, link_type, interface, direction, bytes: &bytes, original_len }, comments)
    }

    /// Describes an interface of the capture.
    fn describe(&mut self, out: &mut PcapngWriter, interface: u32) -> io::Result<u32> {
        let own = self.picker.facts().interfaces.get(interface as usize).cloned().unwrap_or_default();
        let tap = &self.facts.name;
        let name = match own.name {
            Some(name) if name.starts_with(&**tap) => name,
            Some(name) => format!("{tap} {name}"),
            None => tap.clone(),
        };
        let model = self.model.clone();
        let described = Interface { name: Some(name), link_type: own.link_type, snaplen: own.snaplen, ..model };
        let number = out.describe(&described, self.words)?;
        self.numbers.insert(interface, number);
        Ok(number)
    }
}

/// What is kept of a packet: all but what is secret of the words of a control connection, of any other its headers.
fn kept(picked: &Picked<'_>, secrets: Option<&Secrets>) -> Kept {
    let Picked { frame, layout, words, offset_ns } = picked;
    let mut bytes = frame.bytes.to_vec();
    match (words, secrets) {
        (Some(segment), Some(secrets)) => {
            let is_begun = segment.checksum_is_begun();
            for range in secrets.hidden_in(segment) {
                layout.overwrite(&mut bytes, range, FILLER, is_begun);
            }
        }
        (Some(_), None) => {}
        (None, _) => bytes.truncate(layout.text),
    }
    Kept {
        moment: frame.at.time.0.saturating_add(*offset_ns),
        at: frame.at,
        interface: frame.interface,
        link_type: frame.link_type,
        direction: frame.direction,
        bytes,
        original_len: frame.original_len,
    }
}
