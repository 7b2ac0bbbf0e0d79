//! Floor 6: from a live capture to judged sessions, while they happen.
//!
//! The same trackers and rules as in [`mod@crate::replay`]; here the clock advances the time. A transfer that failed is told as
//! soon as its last reply is a second old, its session when it is over.

mod due;
mod own_host;

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::capture::live::{self, LATEST, LiveError, MAX_PORTS, Sampler, Sniffer, Writer, privileges};
use crate::cite::{At, Time};
use crate::legs::{Legs, legs_of};
use crate::netfilter::conntrack::{Pair, pair};
use crate::netfilter::socket::Socket;
use crate::netfilter::table::Traced;
use crate::packet::Frame;
use crate::replay::{Note, Summary};
use crate::session::join::{Session, join, same_connection};
use crate::session::place::Placing;
use crate::session::tracker::{Config, Leg, Tracker};
use crate::session::view::View;
use crate::verdict::{Judgement, TapFacts, judge};
use due::{GRACE, awaits_data, foreign_listeners, ripe};
use own_host::OwnHost;

/// What to watch, and for how long.
#[derive(Clone, Debug)]
pub struct Watch {
    /// What to capture.
    pub capture: live::Options,
    /// The server's passive range.
    pub passive_range: Option<RangeInclusive<u16>>,
    /// Where to keep what is captured.
    pub write: Option<PathBuf>,
    /// Ends after this time; never by itself if there is none.
    pub duration: Option<Duration>,
    /// Ends with the first failure.
    pub until_failure: bool,
    /// Has the kernel trace which rule of this host drops what, and not only reads the rules.
    pub trace: bool,
}

/// Takes what is found while it happens.
pub trait Sink {
    /// Why it cannot go on.
    type Error;

    /// The capture is running: what happens from now on is seen. `absent` tells what cannot be had, a line each.
    fn ready(&mut self, sniffer: &Sniffer, absent: &[String]) -> Result<(), Self::Error>;

    /// Transfers of a session that goes on; the first `told` were told before.
    fn so_far(&mut self, found: Found<'_>) -> Result<(), Self::Error>;

    /// A session that is over; of its transfers the first `told` were told before.
    fn settled(&mut self, found: Found<'_>) -> Result<(), Self::Error>;
}

/// A session, and what is to be said of it.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    /// The session.
    pub session: &'a Session,
    /// The verdicts.
    pub judgement: &'a Judgement,
    /// What is known of the taps.
    pub taps: &'a [TapFacts],
    /// How many of its transfers were told before.
    pub told: usize,
}

/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(200);

/// A packet that came this long ago is not held back by the kernel any more.
const HELD_BACK: Duration = LATEST.saturating_mul(2);

/// Frames taken before the next look at what is due.
const AT_ONCE: usize = 4096;

/// What signals ask for.
#[derive(Debug, Default)]
pub struct Signals {
    /// The end.
    pub end: Arc<AtomicBool>,
    /// A new file to write, in place of one that was moved away; the end, where no file is written or the terminal is gone.
    pub hang_up: Arc<AtomicBool>,
}

/// Watches until a signal, or what `watch` says, ends it. What was captured until then is all told.
///
/// # Errors
/// The capture cannot be opened, or the file not be made; or the sink's own error. What breaks later is noted, and the rest
/// goes on.
pub fn watch<S: Sink>(watch: &Watch, signals: &Signals, sink: &mut S) -> Result<Result<Summary, S::Error>, LiveError> {
    let mut sniffer = Sniffer::open(&watch.capture)?;
    let mut sampler = Sampler::open(&watch.capture)?;
    let (mut watcher, absent) = Watcher::new(watch, &sniffer);
    watcher.writer = watch.write.as_ref().map(|path| Writer::create(path, &sniffer)).transpose()?;
    if let Err(error) = sink.ready(&sniffer, &absent) {
        return Ok(Err(error));
    }
    let end = watch.duration.map(|duration| Instant::now() + duration);
    let more_rights = privileges::drop_all(&watch.write.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    more_rights.into_iter().for_each(|text| watcher.note(text));
    let on_terminal = io::stdin().is_terminal();
    let mut look = Instant::now();
    loop {
        let hung_up = signals.hang_up.swap(false, Ordering::Relaxed)
            && (!watcher.renew_file(&mut sniffer) || on_terminal && !io::stdin().is_terminal());
        let over = hung_up
            || signals.end.load(Ordering::Relaxed)
            || end.is_some_and(|end| Instant::now() >= end)
            || watch.until_failure && watcher.failed;
        if over {
            thread::sleep(HELD_BACK);
        }
        let before = now();
        let took = match watcher.take_all(&mut sniffer, &mut sampler) {
            Ok(took) => took,
            Err(error) => {
                watcher.notes.push(Note { text: error.to_string(), unreadable: true });
                break;
            }
        };
        if took < AT_ONCE {
            watcher.advance(before.minus(HELD_BACK));
        }
        watcher.hear(now());
        if over || Instant::now() >= look {
            look = Instant::now() + TICK;
            watcher.note_losses(&mut sniffer);
            watcher.note_control_sockets(now());
            watcher.note_sockets(now());
            watcher.follow_listeners();
            watcher.keep(Writer::flush);
            if let Err(error) = watcher.tell(sink) {
                return Ok(Err(error));
            }
            if let Err(error) = sampler.look_at(watcher.open_data_ports(), Instant::now()) {
                watcher.note(error.to_string());
            }
        }
        match (took < AT_ONCE, over) {
            (true, true) => break,
            (true, false) => wait(&sniffer, &sampler),
            (false, _) => {}
        }
    }
    watcher.note_losses(&mut sniffer);
    watcher.keep(|writer| writer.finish(sniffer.lost()));
    let told = watcher.finish(sink);
    if sampler.exceeded() {
        watcher.note(format!(
            "more than {MAX_PORTS} data connections were open at once: not all were looked at for stalls"
        ));
    }
    watcher.legs.undecoded().into_iter().for_each(|text| watcher.note(text));
    let Watcher { taps, notes, .. } = watcher;
    Ok(told.map(|()| Summary { taps, notes }))
}

/// Waits for packets, for a signal or for the next look at what is due.
fn wait(sniffer: &Sniffer, sampler: &Sampler) {
    let timeout = Timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
    let mut awaited = vec![PollFd::new(sniffer, PollFlags::IN)];
    awaited.extend(sampler.awaits().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
    // an error here is a signal, and that shows elsewhere
    let _ = poll(&mut awaited, Some(&timeout));
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::default().plus(since)
}

/// A session by the tap that sees it and its number there.
type Key = (usize, u64);

/// What was told of a session that is under way.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    session: u64,
    transfers: usize,
}

struct Watcher {
    legs: Legs,
    writer: Option<Writer>,
    host: OwnHost,
    own: Placing,
    /// The capture leaves out no interface, and nothing that was asked to be left out.
    sees_all: bool,
    /// When the sockets of control connections are looked at again.
    next_sockets: Time,
    taps: Vec<TapFacts>,
    told: HashMap<Key, Told>,
    sessions: u64,
    frames: u32,
    failed: bool,
    notes: Vec<Note>,
}

impl Watcher {
    /// Beside it, a line for everything that cannot be had.
    fn new(watch: &Watch, sniffer: &Sniffer) -> (Watcher, Vec<String>) {
        let legs = legs_of(sniffer.link_type());
        let device = sniffer.device().to_owned();
        let facts = TapFacts {
            name: device.clone(),
            files: vec![device],
            filter: Some(sniffer.filter().to_owned()),
            ..TapFacts::default()
        };
        let config = Config {
            control_ports: watch.capture.control_ports.clone(),
            passive_range: watch.passive_range.clone(),
            leg: Leg::Both,
            sampled: true,
        };
        let mut taps = vec![facts; legs.len()];
        let traced =
            Traced { control_ports: config.control_ports.clone(), passive_range: config.passive_range.clone() };
        let (host, absent) = OwnHost::open(&traced, watch.trace, sniffer.interfaces(), &mut taps);
        let watcher = Watcher {
            own: Placing::Own(sniffer.own_addresses().into()),
            sees_all: watch.capture.interfaces.is_empty() && watch.capture.filter.is_none(),
            next_sockets: Time::default(),
            taps,
            legs: Legs::new(legs, &config),
            writer: None,
            host,
            told: HashMap::new(),
            sessions: 0,
            frames: 0,
            failed: false,
            notes: Vec::new(),
        };
        (watcher, absent)
    }

    fn note(&mut self, text: String) {
        self.notes.push(Note { text, unreadable: false });
    }

    /// Takes what netfilter has told.
    fn hear(&mut self, now: Time) {
        if let Err(why) = self.host.hear(now) {
            self.note(why);
        }
    }

    /// Brings what this host tells of a session up to date; true if there is something new.
    fn ask_host(&mut self, session: &Session) -> bool {
        let views = session.sights.iter().filter_map(|sight| sight.view.as_ref());
        let pairs: Vec<Pair> = views.map(|view| pair(view.control.opener.ip, view.control.listener.ip)).collect();
        self.host.ask(session.main().last_at.time, &pairs, &mut self.taps).unwrap_or_else(|why| {
            self.note(why);
            false
        })
    }

    /// Notes what sockets tell of control connections.
    fn note_control_sockets(&mut self, now: Time) {
        if self.next_sockets <= now {
            self.next_sockets = now.plus(GRACE);
            self.host.note_full(now, &mut self.taps);
            self.note_unseen(now);
        }
    }

    /// Makes sessions of the sockets of this host that try to open a control connection of which no interface shows a packet.
    /// A capture of some interfaces, or of some packets, cannot tell.
    fn note_unseen(&mut self, now: Time) {
        if !self.sees_all || self.taps.iter().any(|tap| tap.lost > 0) {
            return;
        }
        let at = At { time: now, ..At::default() };
        let in_vain = self.host.opening_in_vain(now);
        for &Socket { local, remote, .. } in &in_vain {
            self.legs.trackers.iter_mut().for_each(|tracker| tracker.tried(local, remote, at));
        }
        if !in_vain.is_empty() {
            self.host.note_trying(now, &mut self.taps);
        }
    }

    /// While a data connection is agreed upon and not seen: notes the sockets of this host that try to open one.
    fn note_sockets(&mut self, now: Time) {
        if self.legs.trackers.iter().flat_map(Tracker::under_way).any(|view| awaits_data(view, now)) {
            self.host.note_trying(now, &mut self.taps);
        }
    }

    /// Has the data connections traced that are not between the addresses of the control connection.
    fn follow_listeners(&mut self) {
        let views = self.legs.trackers.iter().flat_map(Tracker::under_way);
        if let Err(why) = self.host.follow(views.flat_map(foreign_listeners)) {
            self.note(why);
        }
    }

    /// Takes the frames that are there; returns how many of them came from `sniffer`.
    fn take_all(&mut self, sniffer: &mut Sniffer, sampler: &mut Sampler) -> Result<usize, LiveError> {
        let mut took = 0;
        while took < AT_ONCE
            && let Some(frame) = sniffer.read()?
        {
            self.take(frame);
            took += 1;
        }
        while let Some(frame) = sampler.read()? {
            self.take(frame);
        }
        Ok(took)
    }

    fn take(&mut self, frame: Frame<'_>) {
        self.frames = self.frames.wrapping_add(1);
        let frame = Frame { at: At { frame: self.frames, ..frame.at }, ..frame };
        self.legs.observe(&frame);
        self.keep(|writer| writer.write(&frame));
    }

    /// Writes to the file, if there is one. One that cannot be written is given up: that is said once, and the rest goes on.
    fn keep(&mut self, write: impl FnOnce(&mut Writer) -> Result<(), LiveError>) {
        if let Some(Err(error)) = self.writer.as_mut().map(write) {
            self.writer = None;
            self.notes.push(Note { text: format!("{error}; what came later is not in the file"), unreadable: true });
        }
    }

    /// Begins the file anew in place of one that was moved away; false if none is written.
    fn renew_file(&mut self, sniffer: &mut Sniffer) -> bool {
        let lost = sniffer.lost();
        let Some(renewed) = self.writer.as_mut().map(|writer| writer.renew(sniffer, lost)) else { return false };
        if let Err(error) = renewed {
            self.note(format!("{error}; the old file goes on"));
        }
        true
    }

    /// Listeners' ports of data connections that are open, in order.
    fn open_data_ports(&self) -> Vec<u16> {
        let views = self.legs.trackers.iter().flat_map(Tracker::under_way);
        let connections = views.flat_map(|view| &view.attempts).map(|attempt| &attempt.connection);
        let open = connections.filter(|connection| connection.syn_ack.is_some() && !connection.is_over());
        let mut ports: Vec<u16> = open.map(|connection| connection.listener.port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// What is known of the places of the legs. A host that overhears what others send to each other need not forward it, so
    /// its addresses tell nothing about that.
    fn placings(&self) -> Vec<Placing> {
        let overheard = self.taps.iter().any(|tap| tap.census.overheard);
        vec![if overheard { Placing::Open } else { self.own.clone() }; self.taps.len()]
    }

    fn advance(&mut self, now: Time) {
        self.legs.trackers.iter_mut().for_each(|tracker| tracker.advance(now));
    }

    fn note_losses(&mut self, sniffer: &mut Sniffer) {
        let lost = sniffer.lost();
        self.taps.iter_mut().for_each(|tap| tap.lost = lost);
    }

    /// Tells what is due.
    fn tell<S: Sink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        for (tap, tracker) in self.taps.iter_mut().zip(&self.legs.trackers) {
            tap.packets = self.legs.packets;
            tap.census = tracker.census();
        }
        self.tell_transfers(sink)?;
        self.tell_settled(sink)
    }

    /// Failed transfers of sessions that go on.
    fn tell_transfers<S: Sink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        let due = now();
        for key in self.ripe_sessions(due) {
            // the other leg of the same session may have been told in between
            if let Some(views) = self.snapshot(key, due) {
                for session in join(views, &self.placings()) {
                    self.tell_one(session, due, |found| sink.so_far(found))?;
                }
            }
        }
        Ok(())
    }

    fn ripe_sessions(&self, due: Time) -> Vec<Key> {
        let legs = self.legs.trackers.iter().enumerate();
        let views = legs.flat_map(|(leg, tracker)| tracker.under_way().map(move |view| (leg, view)));
        views.filter(|(leg, view)| self.is_ripe(*leg, view, due)).map(|(leg, view)| (leg, view.number)).collect()
    }

    fn is_ripe(&self, leg: usize, view: &View, due: Time) -> bool {
        ripe(view, due) > self.told.get(&(leg, view.number)).map_or(0, |told| told.transfers)
    }

    /// What every leg saw so far of the session that one of them knows by this number, if there is something to tell.
    fn snapshot(&self, (leg, number): Key, due: Time) -> Option<Vec<Vec<Box<View>>>> {
        let known = self.legs.trackers[leg].under_way().find(|view| view.number == number)?;
        let same = |view: &&View| same_connection(&known.control, &view.control);
        let seen = |tracker: &Tracker| {
            let mut view = Box::new(tracker.under_way().find(same)?.clone());
            view.suppose_established(true);
            Some(view)
        };
        self.is_ripe(leg, known, due)
            .then(|| self.legs.trackers.iter().map(|tracker| seen(tracker).into_iter().collect()).collect())
    }

    /// Sessions that are over. One that is over on one leg of this host is over on the other.
    fn tell_settled<S: Sink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        let mut views: Vec<Vec<Box<View>>> = self.legs.trackers.iter_mut().map(settled).collect();
        for (leg, tracker) in self.legs.trackers.iter_mut().enumerate() {
            let elsewhere = views.iter().enumerate().filter(|(other, _)| *other != leg).flat_map(|(_, views)| views);
            elsewhere.for_each(|view| tracker.settle_twin(&view.control));
            views[leg].extend(settled(tracker));
        }
        for session in join(views, &self.placings()) {
            let keys = keys(&session);
            self.tell_one(session, now(), |found| sink.settled(found))?;
            for key in keys {
                self.told.remove(&key);
            }
        }
        Ok(())
    }

    /// Judges a session and says what was not said before.
    fn tell_one<E>(
        &mut self,
        mut session: Session,
        due: Time,
        say: impl FnOnce(Found<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let keys = keys(&session);
        let known = keys.iter().find_map(|key| self.told.get(key)).copied();
        let Told { session: number, transfers: told } = known.unwrap_or_else(|| {
            self.sessions += 1;
            Told { session: self.sessions, transfers: 0 }
        });
        session.number = number;
        let mut judgement = judge(&session, &self.taps);
        if judgement.has_failure() && self.ask_host(&session) {
            judgement = judge(&session, &self.taps);
        }
        self.failed |= judgement.has_failure();
        say(Found { session: &session, judgement: &judgement, taps: &self.taps, told })?;
        // they are of this session's connections
        self.taps.iter_mut().for_each(|tap| tap.states = Arc::default());
        let views = session.sights.iter().filter_map(|sight| sight.view.as_ref());
        let transfers = views.map(|view| ripe(view, due)).fold(told, usize::max);
        self.told.extend(keys.into_iter().map(|key| (key, Told { session: number, transfers })));
        Ok(())
    }

    /// The end: all that is under way is told as far as it came.
    fn finish<S: Sink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        self.host.overruns().for_each(|overrun| self.note(overrun));
        self.legs.trackers.iter_mut().for_each(|tracker| tracker.finish());
        self.tell_settled(sink)
    }
}

/// By what the taps know a session.
fn keys(session: &Session) -> Vec<Key> {
    session.sights.iter().filter_map(|sight| Some((sight.tap, sight.view.as_ref()?.number))).collect()
}

fn settled(tracker: &mut Tracker) -> Vec<Box<View>> {
    std::iter::from_fn(|| tracker.poll()).collect()
}
