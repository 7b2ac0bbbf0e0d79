//! The events of a session from all taps on the main tap's clock, each with the transfer it belongs to.

use crate::cite::Time;
use crate::language::{Text, say};
use crate::session::join::Session;
use crate::session::view::{CONTROL, Event, EventKind, Negotiation, Transfer, View};
use crate::tcp::connection::Connection;

/// An event: which tap saw it, and where it is in that tap's log.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    /// Time on the main tap's clock.
    pub(super) time: Time,
    /// Position of the tap in line order.
    pub(super) sight: usize,
    /// Index into the log of its view.
    pub(super) index: usize,
}

/// All events in order of time; at the same time, those of one tap in order of capture.
pub(super) fn moments(session: &Session) -> Vec<Moment> {
    let views = session.sights.iter().enumerate().filter_map(|(sight, content)| Some((sight, content.view.as_ref()?)));
    let mut moments: Vec<Moment> = views
        .flat_map(|(sight, view)| {
            let events = view.log.iter().enumerate();
            events.map(move |(index, event)| Moment { time: session.on_main_clock(sight, event.at.time), sight, index })
        })
        .collect();
    moments.sort_by_key(|moment| moment.time);
    moments
}

/// Which connection of the session an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Thread {
    /// The control connection.
    Control,
    /// A data connection, by its place in [`Session::attempts`].
    Data(usize),
    /// A data connection that belongs to no transfer that the main tap knows.
    Stray,
}

/// Finds connection and transfer of the events of one tap.
pub(super) struct Threads {
    /// Transfer number of every event of the control connection, from 1; 0 for none.
    control: Vec<u32>,
    /// Joined attempt and transfer number of every attempt.
    data: Vec<Option<(usize, u32)>>,
}

impl Threads {
    /// Those of all taps, in line order.
    pub(super) fn of(session: &Session) -> Vec<Threads> {
        (0..session.sights.len()).map(|sight| Threads::at(session, sight)).collect()
    }

    fn at(session: &Session, sight: usize) -> Threads {
        let mut control = vec![0; session.view(sight).map_or(0, |view| view.log.len())];
        for number in 0..session.main().transfers.len() {
            let Some(transfer) = session.transfer(sight, number) else { continue };
            for index in words_of(transfer) {
                if let Some(place) = control.get_mut(index as usize) {
                    *place = number as u32 + 1;
                }
            }
        }
        let mut data = vec![None; session.view(sight).map_or(0, |view| view.attempts.len())];
        for (at, joined) in session.attempts.iter().enumerate() {
            if let Some(place) = joined.seen.get(sight).copied().flatten().and_then(|index| data.get_mut(index)) {
                *place = Some((at, joined.transfer as u32 + 1));
            }
        }
        Threads { control, data }
    }

    /// The connection of an event.
    pub(super) fn thread(&self, event: &Event) -> Thread {
        match event.attempt {
            CONTROL => Thread::Control,
            attempt => match self.data.get(usize::from(attempt)) {
                Some(&Some((joined, _))) => Thread::Data(joined),
                _ => Thread::Stray,
            },
        }
    }

    /// The number of the transfer that the event at `index` belongs to, from 1.
    pub(super) fn transfer(&self, index: usize, event: &Event) -> Option<u32> {
        match event.attempt {
            CONTROL => self.control.get(index).copied().filter(|&number| number > 0),
            attempt => self.data.get(usize::from(attempt)).copied().flatten().map(|(_, number)| number),
        }
    }
}

/// Where the commands and replies of a transfer are in the log.
pub(super) fn words_of(transfer: &Transfer) -> impl Iterator<Item = u32> {
    let asked = |negotiation: &Negotiation| [Some(negotiation.command), negotiation.reply];
    let negotiations = transfer.superseded.iter().chain(&transfer.negotiation).flat_map(asked);
    let own = [transfer.command, transfer.preliminary, transfer.abort, transfer.reply];
    negotiations.chain(own).flatten()
}

/// What an event tells: its own words, which may be anything, or ours.
pub(super) enum Told<'a> {
    /// Its own words.
    Quote(&'a [u8]),
    /// Ours.
    Words(Text),
}

impl<'a> Told<'a> {
    /// What `event` of `view` tells.
    pub(super) fn of(view: &'a View, event: &'a Event) -> Told<'a> {
        Told::Words(match event.kind {
            EventKind::Command | EventKind::ReplyPart | EventKind::Reply(_) | EventKind::Stray => {
                return Told::Quote(view.text_of(event));
            }
            EventKind::Syn => {
                let connection = view.attempts.get(usize::from(event.attempt)).map(|attempt| &attempt.connection);
                let Connection { opener, listener, .. } = connection.unwrap_or(&view.control);
                say!("SYN {opener} > {listener}", opener, listener)
            }
            EventKind::SynAgain => say!("the same SYN again"),
            EventKind::SynAck => say!("SYN-ACK"),
            EventKind::SynAckAgain => say!("the same SYN-ACK again"),
            EventKind::Established => say!("established"),
            EventKind::Fin => say!("FIN"),
            EventKind::FinAgain => say!("the same FIN again"),
            EventKind::Reset => say!("RST"),
            EventKind::Icmp => say!("ICMP {kind}", kind = String::from_utf8_lossy(view.text_of(event))),
            EventKind::Resent => say!("a segment is sent again"),
            EventKind::Gap => say!("the capture misses bytes here"),
            EventKind::Encrypted => say!("encrypted from here on"),
            EventKind::Clear => say!("readable from here on"),
        })
    }
}
