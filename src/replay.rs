//! Floor 6: from capture files to judged sessions.
//!
//! One capture of one tap streams: a session is judged and handed out as soon as it is settled. Several taps are followed
//! each by itself, on a thread of its own, and joined when all have ended.

mod in_vain;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use crate::capture::file::{Facts, FileError, Mark, NoteKind, TapReader, marks};
use crate::capture::filter::{Filter, Sieve};
use crate::cite::Time;
use crate::legs::{Legs, is_of_all_interfaces, legs_of};
use crate::line::{Place, Side};
use crate::netfilter::snapshot::Snapshot;
use crate::session::join::{Session, join};
use crate::session::place::Placing;
use crate::session::tracker::{self, Config, Tracker};
use crate::session::view::View;
use crate::verdict::{Host, Judgement, OPENINGS_FILTER, TapFacts, judge};
use in_vain::InVain;

/// What to replay.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The captures, in line order if their places are given.
    pub captures: Vec<Capture>,
    /// Ports of control connections.
    pub control_ports: Vec<u16>,
    /// The server's passive range.
    pub passive_range: Option<RangeInclusive<u16>>,
    /// Only packets that pass this filter are read.
    pub filter: Option<Filter>,
    /// The user says that the captures were taken without a filter, so what is not in them was not there.
    pub unfiltered: bool,
}

impl Replay {
    /// Ports of control connections and the passive range: those that are asked for, and those that an annotated capture was
    /// made with.
    pub(crate) fn sought(&self, mark: Option<&Mark>) -> (Vec<u16>, Option<RangeInclusive<u16>>) {
        let kept = mark.into_iter().flat_map(|mark| &mark.control_ports);
        let ports: BTreeSet<u16> = self.control_ports.iter().chain(kept).copied().collect();
        let kept = mark.and_then(|mark| mark.passive_range).map(|(low, high)| low..=high);
        (ports.into_iter().collect(), self.passive_range.clone().or(kept))
    }
}

/// The files of one tap.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    /// Where it was taken, if the user says so.
    pub place: Option<Place>,
    /// Its files.
    pub paths: Vec<PathBuf>,
    /// Which of the captures of an annotated file it is, by their [`Mark`]s.
    pub number: Option<u32>,
    /// What its host was at some moments, in order of time.
    pub states: Arc<[Snapshot]>,
}

impl Capture {
    /// The capture in these files, or those that they hold if they are one annotated file.
    ///
    /// # Errors
    /// A place is given, and there are several.
    pub fn of_files(place: Option<Place>, paths: Vec<PathBuf>) -> Result<Vec<Capture>, FileError> {
        let marks = marks(&paths);
        if marks.len() > 1 && place.is_some() {
            return Err(FileError::Several { path: paths[0].clone(), count: marks.len() });
        }
        let capture = Capture { place, paths, ..Capture::default() };
        let one_of = |mark: Mark| {
            let marked = (mark.place != Place::Unknown).then_some(mark.place);
            Capture { place: place.or(marked), number: Some(mark.capture), ..capture.clone() }
        };
        Ok(if marks.is_empty() { vec![capture] } else { marks.into_iter().map(one_of).collect() })
    }

    /// Opens its files.
    ///
    /// # Errors
    /// None can be read, or they hold several captures.
    pub(crate) fn open(&self) -> Result<TapReader, FileError> {
        if let ([path], Some(number)) = (&self.paths[..], self.number) {
            return TapReader::open_one_of(path, number);
        }
        let mut reader = TapReader::open(&self.paths)?;
        reader.peek();
        let marks: BTreeSet<u32> = reader.facts().marks().map(|mark| mark.capture).collect();
        match marks.len() {
            0 | 1 => Ok(reader),
            count => Err(FileError::Several { path: self.paths[0].clone(), count }),
        }
    }

    /// The addresses of its host, as far as they are known.
    pub(crate) fn addresses(&self, facts: &Facts) -> Vec<IpAddr> {
        let told: Vec<IpAddr> = self.states.iter().flat_map(Snapshot::addresses).collect();
        if told.is_empty() { facts.own_addresses() } else { told }
    }

    fn placing(&self, facts: &Facts) -> Placing {
        let own = self.addresses(facts);
        match self.place {
            Some(place) => Placing::Given(place),
            None if own.is_empty() => Placing::Open,
            None => Placing::Own(own.into()),
        }
    }
}

/// Takes what a replay finds, and how far it is.
pub trait Sink {
    /// Why it cannot go on.
    type Error;

    /// A session and what is to be said of it; `taps` holds what is known of the taps so far.
    fn session(&mut self, session: &Session, judgement: &Judgement, taps: &[TapFacts]) -> Result<(), Self::Error>;

    /// Bytes read so far, and bytes in all if that is known.
    fn progress(&mut self, read: u64, total: Option<u64>);
}

/// What a replay knows at its end.
#[derive(Debug, Default)]
pub struct Summary {
    /// The taps.
    pub taps: Vec<TapFacts>,
    /// What was wrong with the captures.
    pub notes: Vec<Note>,
}

/// Something that was wrong with a capture.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// What, where, and what to do about it, for people.
    pub text: String,
    /// A file could not be read at all.
    pub unreadable: bool,
}

/// Frames between two reports of progress.
const AT_ONCE: u64 = 1 << 16;

/// Replays captures into `sink`. A capture that cannot be opened is told in the summary, and the run goes on with the
/// others.
///
/// # Errors
/// No capture can be opened (the first one's error), or the sink's own error.
pub fn replay<S: Sink>(replay: &Replay, sink: &mut S) -> Result<Result<Summary, S::Error>, FileError> {
    let mut readers = Vec::new();
    let mut errors = Vec::new();
    for (capture, of) in replay.captures.iter().enumerate() {
        match of.open() {
            Ok(reader) => readers.push((capture, reader)),
            Err(error) => errors.push(error),
        }
    }
    if readers.is_empty() {
        return errors.into_iter().next().map_or(Ok(Ok(Summary::default())), Err);
    }
    let mut followers: Vec<Follower> =
        readers.into_iter().map(|(capture, reader)| Follower::new(replay, reader, capture)).collect();
    let alone = matches!(&followers[..], [only] if only.legs.trackers.len() == 1);
    let found = match followers.pop_if(|_| alone) {
        Some(follower) => stream(follower, sink),
        None => together(followers, sink),
    };
    let unopened = errors.iter().map(|error| Note { text: error.to_string(), unreadable: true });
    Ok(found.map(|mut summary| {
        summary.notes.extend(unopened);
        summary
    }))
}

/// One tap: every session is handed out as soon as it is settled.
fn stream<S: Sink>(mut follower: Follower, sink: &mut S) -> Result<Summary, S::Error> {
    let mut taps = vec![TapFacts::default()];
    while follower.read_some() {
        hand_out(&mut follower, &mut taps, sink)?;
        let (read, total) = follower.reader.position();
        sink.progress(read, total);
    }
    follower.finish();
    hand_out(&mut follower, &mut taps, sink)?;
    follower.tell(0, &mut taps[0]);
    Ok(Summary { taps, notes: follower.notes() })
}

fn hand_out<S: Sink>(follower: &mut Follower, taps: &mut [TapFacts], sink: &mut S) -> Result<(), S::Error> {
    if !follower.has_settled() {
        return Ok(());
    }
    follower.tell(0, &mut taps[0]);
    let Follower { legs, placing, in_vain, .. } = follower;
    let tracker = &mut legs.trackers[0];
    while let Some(view) = tracker.poll() {
        in_vain.saw(&view);
        let mut session = Session::of_one(view, 0, placing);
        sink.session(&session, &judge(&session, taps), taps)?;
        session.sights.drain(..).filter_map(|sight| sight.view).for_each(|view| tracker.recycle(view));
    }
    Ok(())
}

/// Several taps: each is followed by itself, then the views are joined.
fn together<S: Sink>(followers: Vec<Follower>, sink: &mut S) -> Result<Summary, S::Error> {
    let followed: Vec<(Vec<Leg>, Vec<Note>)> = thread::scope(|scope| {
        let threads: Vec<_> = followers.into_iter().map(|follower| scope.spawn(move || follow(follower))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a follower does not panic")).collect()
    });
    let mut summary = Summary::default();
    let (mut views, mut placings) = (Vec::new(), Vec::new());
    for (legs, notes) in followed {
        summary.notes.extend(notes);
        for leg in legs {
            placings.push(leg.placing);
            views.push(leg.views);
            summary.taps.push(leg.facts);
        }
    }
    for session in join(views, &placings) {
        sink.session(&session, &judge(&session, &summary.taps), &summary.taps)?;
    }
    Ok(summary)
}

/// One tap of a capture.
struct Leg {
    #[allow(clippy::vec_box)] // they come boxed, to be handed on without being moved
    views: Vec<Box<View>>,
    facts: TapFacts,
    placing: Placing,
}

/// Follows a capture to its end. A host that does not forward shows its sessions on one leg only; the other is no tap. One
/// between the ends forwards what it is sent, so there a leg that shows nothing is a tap that saw nothing.
fn follow(mut follower: Follower) -> (Vec<Leg>, Vec<Note>) {
    while follower.read_some() {}
    follower.finish();
    let placing = follower.placing.clone();
    let mut legs: Vec<Leg> = (0..follower.legs.trackers.len())
        .map(|leg| {
            let views = std::iter::from_fn(|| follower.legs.trackers[leg].poll()).collect();
            Leg { views, facts: follower.facts(leg), placing: placing.clone() }
        })
        .collect();
    legs.iter().flat_map(|leg| &leg.views).for_each(|view| follower.in_vain.saw(view));
    if follower.sees_all()
        && let [_, server] = &mut legs[..]
    {
        server.views.extend(follower.in_vain.take(&server.facts));
    }
    let overheard = legs.iter().any(|leg| leg.facts.census.overheard);
    let forwards = match &follower.mark {
        Some(mark) => mark.taps > 1,
        None => !overheard && matches!(placing, Placing::Given(Place::Between) | Placing::Own(_)),
    };
    if let [client, server] = &legs[..] {
        let (keep, placing) = match (client.views.is_empty(), server.views.is_empty()) {
            _ if forwards => return (both_legs(legs), follower.notes()),
            (false, false) => return (both_legs(legs), follower.notes()),
            (true, true) => (0, placing),
            (false, true) => (0, one_leg(placing, Side::Client)),
            (true, false) => (1, one_leg(placing, Side::Server)),
        };
        legs = vec![Leg { placing, ..legs.swap_remove(keep) }];
    }
    (legs, follower.notes())
}

/// Of two legs whose place nobody gives it is known at least which way each of them looks.
fn both_legs(mut legs: Vec<Leg>) -> Vec<Leg> {
    for (leg, side) in legs.iter_mut().zip([Side::Client, Side::Server]) {
        if leg.placing == Placing::Open {
            leg.placing = Placing::Leg(side);
        }
    }
    legs
}

fn one_leg(placing: Placing, toward: Side) -> Placing {
    if placing == Placing::Open { Placing::OneLeg(toward) } else { placing }
}

/// The name of a capture whose file is called as another's is: its path.
fn path_name(replay: &Replay, capture: usize) -> Option<String> {
    let path = replay.captures[capture].paths.first()?;
    let others = replay.captures.iter().enumerate().filter(|(other, _)| *other != capture);
    let same = others.filter_map(|(_, other)| other.paths.first()).any(|other| other.file_name() == path.file_name());
    same.then(|| path.display().to_string())
}

/// Reads one capture and follows what it holds.
struct Follower {
    reader: TapReader,
    sieve: Option<Sieve>,
    unfiltered: bool,
    legs: Legs,
    capture: usize,
    placing: Placing,
    states: Arc<[Snapshot]>,
    in_vain: InVain,
    /// If its file's does not tell it from the others.
    name: Option<String>,
    /// What an annotated file says of it.
    mark: Option<Mark>,
}

impl Follower {
    /// Looks at the first frame: its link type tells how many legs there are. Of an annotated capture it may be missing.
    fn new(replay: &Replay, mut reader: TapReader, capture: usize) -> Self {
        let first = reader.peek().map_or(0, |frame| frame.link_type);
        let mark = reader.facts().marks().next().cloned();
        let link_type = if mark.is_some() { reader.facts().interfaces[0].link_type } else { first };
        let (control_ports, passive_range) = replay.sought(mark.as_ref());
        let filters = reader.facts().interfaces.iter().filter_map(|interface| interface.filter.as_ref());
        let config = Config {
            control_ports,
            passive_range,
            leg: tracker::Leg::Both,
            sampled: filters.into_iter().any(|filter| filter.contains(OPENINGS_FILTER)),
        };
        let mut legs = Legs::new(legs_of(link_type), &config);
        if let Some(began) = mark.as_ref().and_then(|mark| mark.began) {
            legs.advance(Time(began));
        }
        Follower {
            placing: replay.captures[capture].placing(reader.facts()),
            reader,
            sieve: replay.filter.as_ref().map(Filter::ready),
            unfiltered: replay.unfiltered,
            legs,
            capture,
            states: Arc::clone(&replay.captures[capture].states),
            in_vain: InVain::new(&replay.captures[capture].states, &config.control_ports),
            name: mark.as_ref().map(|mark| mark.name.clone()).or_else(|| path_name(replay, capture)),
            mark,
        }
    }

    /// All that passes any interface of the host is in the capture, for certain.
    fn sees_all(&self) -> bool {
        let interfaces = &self.reader.facts().interfaces;
        let of_all =
            !interfaces.is_empty() && interfaces.iter().all(|interface| is_of_all_interfaces(interface.link_type));
        of_all && self.filter().is_some_and(|filter| filter.is_empty())
    }

    /// Reads until a session is settled or [`AT_ONCE`] frames are done; false at the end.
    fn read_some(&mut self) -> bool {
        for _ in 0..AT_ONCE {
            let Some(frame) = self.reader.next() else { return false };
            if self.sieve.as_mut().is_none_or(|sieve| sieve.passes(&frame)) {
                self.legs.observe(&frame);
                if self.has_settled() {
                    break;
                }
            }
        }
        true
    }

    fn has_settled(&self) -> bool {
        matches!(&self.legs.trackers[..], [only] if only.has_settled())
    }

    fn finish(&mut self) {
        if let Some(mark) = &self.mark {
            self.legs.advance(Time(mark.ended));
        }
        self.legs.trackers.iter_mut().for_each(Tracker::finish);
    }

    fn facts(&self, leg: usize) -> TapFacts {
        let mut facts = TapFacts::default();
        self.tell(leg, &mut facts);
        facts
    }

    /// Brings what is known of a leg up to date.
    fn tell(&self, leg: usize, known: &mut TapFacts) {
        let facts = self.reader.facts();
        if known.files.is_empty() {
            known.files = facts.files.iter().map(|file| file.name.clone()).collect();
            known.states = Arc::clone(&self.states);
            known.host = (!self.states.is_empty()).then(|| Host::of(&self.states).into());
            known.trying = self.states.iter().flat_map(Snapshot::trying).collect();
            known.full = self.states.iter().flat_map(Snapshot::full).collect();
            known.name = self.name.clone().or(known.files.first().cloned()).unwrap_or_default();
        }
        known.capture = self.capture;
        known.packets = self.legs.packets;
        known.filter = self.filter();
        known.cut = facts.notes.iter().any(|note| note.kind != NoteKind::Skipped);
        known.lost = facts.lost().unwrap_or(0);
        known.census = self.legs.trackers[leg].census();
        if let Some(mark) = &self.mark {
            known.cut |= mark.cut;
            known.census.other_traffic |= mark.other_traffic;
            known.census.data_unseen = known.census.data_unseen.max(mark.data_unseen);
        }
    }

    /// What the packets had to pass to be in the capture and to be read, if that is known.
    fn filter(&self) -> Option<String> {
        let told = self.reader.facts().interfaces.iter().find_map(|interface| interface.filter.as_deref());
        let kept = told.or(self.unfiltered.then_some(""));
        let asked = self.sieve.as_ref().map(Sieve::expression);
        match (kept, asked) {
            (Some(kept), Some(asked)) => Some(format!("({kept}) and ({asked})")),
            (one, other) => one.or(other).map(str::to_owned),
        }
    }

    fn notes(&self) -> Vec<Note> {
        let files = self.reader.facts().notes.iter().map(|note| {
            let missing = if note.kind == NoteKind::Ended { "; what it misses proves nothing" } else { "" };
            Note { text: format!("{}{missing}", note.text), unreadable: note.kind == NoteKind::Unreadable }
        });
        let others = self.legs.undecoded().into_iter().chain(self.in_vain.untold()).map(|what| {
            let text = format!("{}: {what}", self.facts(0).name);
            Note { text, unreadable: false }
        });
        files.chain(others).collect()
    }
}
