//! Connections that nobody expects yet: a SYN may be captured before the reply that announces it, and the control
//! connection of an FTP server on another port shows itself only with its greeting.
//!
//! Almost none of them is ever asked for, so their packets are only written down, one after another, and made a connection
//! of when somebody wants it.

use std::iter;
use std::time::Duration;

use crate::cite::Time;
use crate::packet::{Endpoint, IcmpError, Segment};
use crate::session::flow::{EndKey, FlowKey};
use crate::tcp::connection::{Connection, Role};

/// Packets kept; the oldest give way. Captures are out of order by milliseconds at most, in which even a busy link opens
/// and ends fewer connections.
const MAX_NOTES: usize = 2048;

/// As many chains as there are notes.
const CHAINS: usize = MAX_NOTES;

/// How much earlier than its announcement a SYN may stand in a capture.
const OUT_OF_ORDER: Duration = Duration::from_secs(1);

/// The latest packets that open, end or refuse a connection without an owner. Of a forwarding host both legs are kept, since
/// it is not known yet which of them is looked at: their keys differ ([`FlowKey::on`]).
pub(super) struct Orphans {
    /// A ring: the note with number n is at n modulo [`MAX_NOTES`].
    notes: Vec<Note>,
    /// How many there were.
    count: u64,
    /// Number of the latest note of the connections, and of the listeners, that share a chain.
    latest: [Box<[u64; CHAINS]>; 2],
}

/// A packet.
struct Note {
    flow: FlowKey,
    listener: EndKey,
    /// Whose it is; of an ICMP error, whose packet it quotes.
    from: Role,
    seen: Seen,
    /// Numbers of the notes before it in its chains.
    before: [u64; 2],
}

/// What a note tells.
pub(super) enum Seen {
    /// A segment, of which addresses, numbers and flags are kept.
    Segment(Segment<'static>),
    /// An ICMP error about one.
    Error(Box<IcmpError>),
    /// It has an owner now.
    Taken,
}

/// Index of a chain's number in [`Note::before`] and [`Orphans::latest`].
const FLOW: usize = 0;
const LISTENER: usize = 1;

impl Orphans {
    pub(super) fn new() -> Orphans {
        let nothing = || Box::new([0; CHAINS]);
        // zero is the number of none that is kept
        Orphans { notes: Vec::new(), count: 2 * MAX_NOTES as u64, latest: [nothing(), nothing()] }
    }

    /// Writes down a packet that nobody owns.
    #[inline]
    pub(super) fn add(&mut self, flow: FlowKey, listener: EndKey, from: Role, seen: Seen) {
        let [flows, listeners] = &mut self.latest;
        let chains = [&mut flows[flow.chain(CHAINS)], &mut listeners[listener.chain(CHAINS)]];
        let before = chains.map(|latest| std::mem::replace(latest, self.count));
        let note = Note { flow, listener, from, seen, before };
        match self.notes.get_mut(place(self.count)) {
            Some(oldest) => *oldest = note,
            None => self.notes.push(note),
        }
        self.count += 1;
    }

    /// Who of a connection without an owner sent a packet between these ends.
    #[inline]
    pub(super) fn sender(&self, flow: FlowKey, source: Endpoint, destination: Endpoint) -> Option<Role> {
        let [opener, listener] = self.note(self.of_flow(flow).next()?).ends()?;
        match () {
            () if [source, destination] == [opener, listener] => Some(Role::Opener),
            () if [destination, source] == [opener, listener] => Some(Role::Listener),
            () => None,
        }
    }

    pub(super) fn take(&mut self, flow: FlowKey) -> Option<Connection> {
        let connection = self.connection(flow)?;
        self.forget(flow);
        Some(connection)
    }

    /// The latest orphan that goes to `listener`, unless it began too long before `now` to be the announced one.
    pub(super) fn take_to(&mut self, listener: EndKey, now: Time) -> Option<Connection> {
        let is_it = |number: &u64| self.note(*number).listener == listener;
        let flow = self.note(self.chain(LISTENER, listener.chain(CHAINS)).find(is_it)?).flow;
        let connection = self.connection(flow)?;
        if connection.began()?.time.until(now) > OUT_OF_ORDER {
            return None;
        }
        self.forget(flow);
        Some(connection)
    }

    /// What its packets make of it.
    fn connection(&self, flow: FlowKey) -> Option<Connection> {
        let mut notes: Vec<&Note> = self.of_flow(flow).map(|number| self.note(number)).collect();
        let ends = notes.first()?.ends()?;
        let mut connection = Connection::new(ends[0], ends[1]);
        notes.reverse();
        for note in notes.into_iter().filter(|note| note.ends() == Some(ends)) {
            match &note.seen {
                Seen::Segment(segment) => _ = connection.observe_from(note.from, segment),
                Seen::Error(error) => _ = connection.observe_icmp(error),
                Seen::Taken => {}
            }
        }
        connection.early = connection.syn_ack.is_some();
        Some(connection)
    }

    fn forget(&mut self, flow: FlowKey) {
        let numbers: Vec<u64> = self.of_flow(flow).collect();
        numbers.into_iter().for_each(|number| self.notes[place(number)].seen = Seen::Taken);
    }

    /// The numbers of a connection's notes, the latest first.
    #[inline]
    fn of_flow(&self, flow: FlowKey) -> impl Iterator<Item = u64> {
        self.chain(FLOW, flow.chain(CHAINS)).filter(move |number| self.note(*number).flow == flow)
    }

    /// The numbers of the notes in a chain that nobody took, the latest first.
    #[inline]
    fn chain(&self, kind: usize, chain: usize) -> impl Iterator<Item = u64> {
        let kept = move |number: &u64| self.count - number <= MAX_NOTES as u64;
        let latest = Some(self.latest[kind][chain]).filter(kept);
        let numbers = iter::successors(latest, move |&number| Some(self.note(number).before[kind]).filter(kept));
        numbers.filter(|number| !matches!(self.note(*number).seen, Seen::Taken))
    }

    #[inline]
    fn note(&self, number: u64) -> &Note {
        &self.notes[place(number)]
    }
}

#[inline]
fn place(number: u64) -> usize {
    number as usize % MAX_NOTES
}

impl Note {
    /// Opener and listener.
    fn ends(&self) -> Option<[Endpoint; 2]> {
        let (source, destination) = match &self.seen {
            Seen::Segment(segment) => (segment.source, segment.destination),
            Seen::Error(error) => (error.quoted.source, error.quoted.destination),
            Seen::Taken => return None,
        };
        Some(if self.from == Role::Opener { [source, destination] } else { [destination, source] })
    }
}
