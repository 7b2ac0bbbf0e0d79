//! What one tap saw of one session: plain data, filled by the tracker and read by `join`, the verdicts and the reports.

use std::ops::Range;
use std::time::Duration;

use crate::cite::At;
use crate::ftp::command::Verb;
use crate::ftp::helper::{Reason, Ruling};
use crate::ftp::host_port::HostPort;
use crate::line::Side;
use crate::packet::Endpoint;
use crate::tcp::connection::{Connection, Opening};
use crate::tcp::half::Leg;

/// One session at one tap.
#[derive(Clone, Debug)]
pub struct View {
    /// Order of the session's first packet among the sessions of this tap, from 1.
    pub number: u64,
    /// Who opened the control connection.
    pub client: Endpoint,
    /// Who listens.
    pub server: Endpoint,
    /// The control connection.
    pub control: Connection,
    /// What made it an FTP session.
    pub known_by: KnownBy,
    /// All that happened, in order of capture.
    pub log: Vec<Event>,
    /// The texts that `log` points into, escaped nowhere, passwords replaced.
    pub text: Vec<u8>,
    /// Transfers and negotiations, in order.
    pub transfers: Vec<Transfer>,
    /// Data connections, in order of their first packet.
    pub attempts: Vec<Attempt>,
    /// From where on the control connection cannot be read.
    pub encrypted: Option<At>,
    /// User name as given.
    pub user: Option<u32>,
    /// The server's greeting (index into `log`).
    pub greeting: Option<u32>,
    /// Control segments that a Linux helper on the path would have dropped, the first [`MAX_HELPER_DROPS`].
    pub helper_drops: Vec<HelperDrop>,
    /// Holes in the control streams: the tap missed segments.
    pub gaps: u32,
    /// Events beyond [`MAX_EVENTS`] that were counted instead of kept.
    pub uncounted: u64,
    /// First packet of the session.
    pub began: At,
    /// Latest packet of the session.
    pub last_at: At,
    /// Why nothing more was waited for.
    pub settled: Settled,
}

/// A segment that `nf_conntrack_ftp` would have dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelperDrop {
    /// The segment.
    pub at: At,
    /// Which way it went.
    pub toward: Side,
    /// Why.
    pub reason: Reason,
}

/// Helper drops kept per view: one is enough for a verdict, a few show a pattern.
pub const MAX_HELPER_DROPS: usize = 8;

/// Events kept per session: a session that moves ten thousand files needs about a hundred thousand.
pub const MAX_EVENTS: usize = 200_000;

/// Transfers, and data connections, kept per session.
pub const MAX_TRANSFERS: usize = 50_000;

/// Bytes of text kept per session.
pub const MAX_TEXT: usize = 16 << 20;

/// How a connection was recognised as FTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// By its port.
    Port,
    /// `220` and then `USER` or `AUTH` on another port.
    Greeting,
    /// By a socket of this host that tries to open a control connection, before any packet of it was seen.
    Socket,
    /// Only by data connections to the passive range; no control connection is in sight.
    PassiveRange,
}

/// Why a session was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The control connection ended.
    Closed,
    /// Nothing moved for longer than any timer of TCP or FTP.
    Idle,
    /// The capture ends.
    EndOfCapture,
    /// More sessions were alive than the tracker holds, or its port pair was used anew.
    Displaced,
}

/// One line of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where it was seen.
    pub at: At,
    /// Start of its text in [`View::text`].
    pub text_start: u32,
    /// Length of its text.
    pub text_len: u16,
    /// The attempt it belongs to; [`CONTROL`] for the control connection.
    pub attempt: u16,
    /// What happened.
    pub kind: EventKind,
    /// Which way the packet went.
    pub toward: Side,
    /// Verb of a command.
    pub verb: Verb,
}

/// [`Event::attempt`] of the control connection.
pub const CONTROL: u16 = u16::MAX;

impl Event {
    /// Where its text is.
    pub fn span(&self) -> Range<usize> {
        let start = self.text_start as usize;
        start..start + usize::from(self.text_len)
    }
}

/// What an [`Event`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// SYN.
    Syn,
    /// The same SYN again.
    SynAgain,
    /// SYN-ACK.
    SynAck,
    /// The same SYN-ACK again.
    SynAckAgain,
    /// The handshake is complete.
    Established,
    /// FIN.
    Fin,
    /// The same FIN again.
    FinAgain,
    /// RST.
    Reset,
    /// ICMP error; the text says which.
    Icmp,
    /// A command.
    Command,
    /// A line of a reply that more lines follow.
    ReplyPart,
    /// A reply, or its last line: the code.
    Reply(u16),
    /// A line that is neither command nor reply.
    Stray,
    /// A control segment that was sent again; the text is its first line.
    Resent,
    /// Bytes are missing here.
    Gap,
    /// Encryption begins.
    Encrypted,
    /// The control connection can be read again (CCC).
    Clear,
}

/// How a data connection is negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// RFC 959, active.
    Port,
    /// RFC 959, passive.
    Pasv,
    /// RFC 2428, active.
    Eprt,
    /// RFC 2428, passive.
    Epsv,
    /// RFC 1639, active.
    Lprt,
    /// RFC 1639, passive.
    Lpsv,
}

impl Mode {
    /// Who listens for the data connection.
    pub fn listener(self) -> Side {
        match self {
            Mode::Port | Mode::Eprt | Mode::Lprt => Side::Client,
            Mode::Pasv | Mode::Epsv | Mode::Lpsv => Side::Server,
        }
    }

    /// The command's name.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Port => "PORT",
            Mode::Pasv => "PASV",
            Mode::Eprt => "EPRT",
            Mode::Epsv => "EPSV",
            Mode::Lprt => "LPRT",
            Mode::Lpsv => "LPSV",
        }
    }
}

/// An agreement about a data connection, or the attempt at one.
#[derive(Clone, Debug)]
pub struct Negotiation {
    /// How.
    pub mode: Mode,
    /// The command (index into `log`).
    pub command: u32,
    /// Its final reply (index into `log`).
    pub reply: Option<u32>,
    /// Code of that reply, 0 before it.
    pub code: u16,
    /// The listener's address as the text gave it at this tap.
    pub offered: Option<HostPort>,
    /// What a Linux helper on the path makes of the segment that offered it; none if it carries no whole negotiation.
    pub helper: Option<Ruling>,
}

impl Negotiation {
    /// The reply was not negative. One about the data connection counts as positive: some servers connect before they
    /// answer PORT, and say so when that fails.
    pub fn stands(&self) -> bool {
        self.code < 400 || self.tells_of_failure()
    }

    /// The reply says that the data connection failed.
    pub fn tells_of_failure(&self) -> bool {
        matches!(self.code, 421 | 425 | 426)
    }
}

/// A negotiation, the transfer command that used it, or either alone.
#[derive(Clone, Debug, Default)]
pub struct Transfer {
    /// How the data connection was to be opened; none for a bare transfer command or an inferred transfer.
    pub negotiation: Option<Negotiation>,
    /// The control connection was encrypted: this transfer is inferred from its data connection.
    pub inferred: bool,
    /// Another session at this tap agreed upon the same listener from the other side: the data connection runs between two
    /// servers (RFC 959 section 5.2).
    pub between_servers: bool,
    /// Transfer command (index into `log`).
    pub command: Option<u32>,
    /// Its preliminary reply, 1yz (index into `log`).
    pub preliminary: Option<u32>,
    /// Its final reply (index into `log`).
    pub reply: Option<u32>,
    /// Code of that reply, 0 before it.
    pub code: u16,
    /// ABOR (index into `log`).
    pub abort: Option<u32>,
    /// Negotiations that this one replaced before any use, oldest first.
    pub superseded: Vec<Negotiation>,
}

/// A data connection.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The transfer it serves (index into [`View::transfers`]).
    pub transfer: u16,
    /// Its opener's address is not the control connection's.
    pub foreign: bool,
    /// Which end of the session listens.
    pub listens: Side,
    /// The connection itself.
    pub connection: Connection,
}

/// An end that waits for an answer in the opening has repeated itself by then (RFC 6298 section 2.1 asks for a second, and
/// RFC 2988 asked for three).
const REPEATS: Duration = Duration::from_secs(4);

/// Events for which room is made at once: most sessions have a few dozen.
const LOG_STEP: usize = 8;

/// Bytes of text for which room is made at once: a few lines.
const TEXT_STEP: usize = 192;

/// Makes room for `more`, in smaller steps than a vector does by itself: with many sessions alive, what they leave
/// unused is most of the memory.
#[inline]
fn make_room<T>(list: &mut Vec<T>, more: usize, step: usize) {
    if list.capacity() - list.len() < more {
        list.reserve_exact(more.max(step).max(list.len() / 4));
    }
}

impl View {
    /// A session that begins here.
    pub fn new(client: Endpoint, server: Endpoint, known_by: KnownBy, at: At) -> Self {
        View {
            number: 0,
            client,
            server,
            control: Connection::new(client, server),
            known_by,
            log: Vec::new(),
            text: Vec::new(),
            transfers: Vec::new(),
            attempts: Vec::new(),
            encrypted: None,
            user: None,
            greeting: None,
            helper_drops: Vec::new(),
            gaps: 0,
            uncounted: 0,
            began: at,
            last_at: at,
            settled: Settled::EndOfCapture,
        }
    }

    /// Gives the memory of its lists back.
    pub(super) fn free_lists(&mut self) {
        self.log = Vec::new();
        self.text = Vec::new();
        self.transfers = Vec::new();
        self.attempts = Vec::new();
    }

    /// Becomes another session, and keeps the memory of its lists.
    pub(super) fn replace(&mut self, new: View) {
        self.log.clear();
        self.text.clear();
        self.transfers.clear();
        self.attempts.clear();
        let View { log, text, transfers, attempts, .. } = self;
        let (log, text) = (std::mem::take(log), std::mem::take(text));
        let (transfers, attempts) = (std::mem::take(transfers), std::mem::take(attempts));
        *self = View { log, text, transfers, attempts, ..new };
    }

    /// Adds an event to the log and returns its index; beyond the bounds it is only counted.
    pub fn record(&mut self, at: At, attempt: u16, kind: EventKind, toward: Side, verb: Verb, texts: &[&[u8]]) -> u32 {
        let index = self.log.len() as u32;
        if self.log.len() >= MAX_EVENTS || self.text.len() >= MAX_TEXT {
            self.uncounted += 1;
            return index;
        }
        let text_start = self.text.len() as u32;
        for text in texts {
            make_room(&mut self.text, text.len(), TEXT_STEP);
            self.text.extend_from_slice(text);
        }
        make_room(&mut self.log, 1, LOG_STEP);
        let text_len = (self.text.len() as u32 - text_start) as u16;
        self.log.push(Event { at, text_start, text_len, attempt, kind, toward, verb });
        index
    }

    /// Adds a transfer; beyond [`MAX_TRANSFERS`] it is only counted.
    pub fn add_transfer(&mut self, transfer: Transfer) {
        if self.transfers.len() < MAX_TRANSFERS {
            make_room(&mut self.transfers, 1, 1);
            self.transfers.push(transfer);
        } else {
            self.uncounted += 1;
        }
    }

    /// Adds a data connection.
    pub(super) fn add_attempt(&mut self, attempt: Attempt) {
        make_room(&mut self.attempts, 1, 1);
        self.attempts.push(attempt);
    }

    /// Where the capture leaves out what passes on established data connections (`sampled`), or the connection was opened before
    /// it was announced, the acknowledgement of a SYN-ACK is not seen; or the capture missed it. An end that missed it would
    /// have repeated itself.
    pub fn suppose_established(&mut self, sampled: bool) {
        for Attempt { connection, .. } in &mut self.attempts {
            let once = |leg: Option<Leg>| leg.is_none_or(|leg| leg.count.get() == 1);
            let waited = connection.syn_ack.map_or(Duration::ZERO, |leg| leg.first.time.until(self.last_at.time));
            let may_be_unseen = sampled || connection.early || waited > REPEATS;
            if may_be_unseen
                && connection.opening() == Opening::HalfOpen
                && once(connection.syn)
                && once(connection.syn_ack)
            {
                connection.established = connection.syn_ack.map(|leg| leg.first);
            }
        }
    }

    /// A transfer went through, and the data connection that was agreed for it was not seen.
    pub fn lacks_data(&self) -> bool {
        (0..).zip(&self.transfers).any(|(index, transfer)| {
            let through =
                matches!(transfer.code, 226 | 250) && transfer.negotiation.is_some() && transfer.abort.is_none();
            through && self.attempts_of(index).next().is_none()
        })
    }

    /// The text of an event.
    pub fn text_of(&self, event: &Event) -> &[u8] {
        self.text.get(event.span()).unwrap_or_default()
    }

    /// Two events are as close in time as packets that a capture may have put in the wrong order.
    pub fn is_close(&self, one: u32, other: u32) -> bool {
        let time = |index| self.event(index).map_or(i64::MIN, |event| event.at.time.0);
        time(one).abs_diff(time(other)) < 50_000_000
    }

    /// The event at `index`.
    pub fn event(&self, index: u32) -> Option<&Event> {
        self.log.get(index as usize)
    }

    /// Data connections of the transfer at `index`, with their own indexes.
    pub fn attempts_of(&self, index: usize) -> impl Iterator<Item = (usize, &Attempt)> {
        self.attempts.iter().enumerate().filter(move |(_, attempt)| usize::from(attempt.transfer) == index)
    }
}
