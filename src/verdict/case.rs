//! One question to the rules: a session, or one transfer of it, with all that the taps saw.

use std::net::IpAddr;
use std::time::Duration;

use crate::cite::{At, Time};
use crate::few::Few;
use crate::ftp::command::Verb;
use crate::language::{Text, say};
use crate::line::{Place, Side};
use crate::session::join::{JoinedAttempt, Session};
use crate::session::view::{CONTROL, Event, EventKind, Negotiation, Transfer, View};
use crate::tcp::connection::{Connection, Opening, Role};
use crate::verdict::{Evidence, TapFacts};

/// What the rules look at.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// The session.
    pub session: &'a Session,
    /// Facts of the taps, by the order in which they were given.
    pub taps: &'a [TapFacts],
    /// The transfer in question (index in the main view); none for the control connection.
    pub transfer: Option<usize>,
}

impl<'a> Case<'a> {
    /// The view whose conversation is the session's.
    pub fn view(&self) -> &'a View {
        self.session.main()
    }

    /// The transfer in question, in the main view.
    pub fn transfer(&self) -> Option<&'a Transfer> {
        self.view().transfers.get(self.transfer?)
    }

    /// A tap saw that its data connection runs between two servers.
    pub fn is_between_servers(&self) -> bool {
        let seen = |sight| self.session.transfer(sight, self.transfer?);
        (0..self.session.sights.len()).filter_map(seen).any(|transfer| transfer.between_servers)
    }

    /// How its data connection was to be opened.
    pub fn negotiation(&self) -> Option<&'a Negotiation> {
        self.transfer()?.negotiation.as_ref()
    }

    /// Its data connections.
    pub fn attempts(&self) -> Few<&'a JoinedAttempt> {
        self.transfer.map(|transfer| self.session.attempts_of(transfer).collect()).unwrap_or_default()
    }

    /// The views with their positions in line order.
    pub fn views(&self) -> impl Iterator<Item = (usize, &'a View)> {
        let sights = self.session.sights.iter().enumerate();
        sights.filter_map(|(sight, content)| Some((sight, content.view.as_deref()?)))
    }

    /// One connection at every tap that saw it, with the taps' positions; `None` asks for the control connection.
    pub fn connections(&self, which: Option<&'a JoinedAttempt>) -> Few<(usize, &'a Connection)> {
        self.each_connection(which).collect()
    }

    /// The same, one after the other.
    pub fn each_connection(
        &self,
        which: Option<&'a JoinedAttempt>,
    ) -> impl Iterator<Item = (usize, &'a Connection)> + use<'a> {
        let session = self.session;
        session.sights.iter().enumerate().filter_map(move |(sight, content)| {
            let view = content.view.as_ref()?;
            match which {
                None => Some((sight, &view.control)),
                Some(joined) => Some((sight, &session.attempt(sight, joined)?.connection)),
            }
        })
    }

    /// How an opening ended, all taps taken together: what one of them saw happened.
    pub fn opening(&self, which: Option<&'a JoinedAttempt>) -> Opening {
        let rank = |opening: &Opening| match opening {
            Opening::Established => 4,
            Opening::IcmpError => 3,
            Opening::Reset => 2,
            Opening::HalfOpen => 1,
            Opening::Unanswered => 0,
        };
        let openings = self.each_connection(which).map(|(_, connection)| connection.opening());
        openings.max_by_key(rank).unwrap_or(Opening::Unanswered)
    }

    /// Who listens in a connection.
    pub fn listens(&self, which: Option<&'a JoinedAttempt>) -> Side {
        let Some(joined) = which else { return Side::Server };
        let first = self.views().find_map(|(sight, _)| self.session.attempt(sight, joined));
        first.map_or(Side::Server, |attempt| attempt.listens)
    }

    /// The transfer command's verb.
    pub fn verb(&self) -> Option<Verb> {
        self.view().event(self.transfer()?.command?).map(|event| event.verb)
    }

    /// The final reply's code, 0 if there is none.
    pub fn code(&self) -> u16 {
        self.transfer().map_or(0, |transfer| transfer.code)
    }

    /// The final reply's text in small letters, code included; empty if there is none.
    pub fn reply_text(&self) -> String {
        let view = self.view();
        let event = self.transfer().and_then(|transfer| transfer.reply).and_then(|reply| view.event(reply));
        event.map(|event| String::from_utf8_lossy(view.text_of(event)).to_lowercase()).unwrap_or_default()
    }

    /// The moment from which the data connection could be opened, in the main view: for passive mode the reply that
    /// announced the listener, for active mode the transfer command.
    pub fn due(&self) -> Option<At> {
        let transfer = self.transfer()?;
        let negotiation = transfer.negotiation.as_ref();
        let index = match negotiation {
            Some(negotiation) if negotiation.mode.listener() == Side::Server => negotiation.reply,
            Some(negotiation) => transfer.command.or(Some(negotiation.command)),
            None => transfer.command,
        };
        self.view().event(index?).map(|event| event.at)
    }

    /// The control events of the main view after `at`.
    pub fn control_after(&self, at: At) -> impl Iterator<Item = &'a Event> {
        self.view().log.iter().filter(move |event| event.attempt == CONTROL && event.at > at)
    }

    /// The first sign after `at` that an end gave the transfer up: a final reply to it, a further command, the end of the
    /// control connection.
    pub fn given_up(&self, at: At) -> Option<&'a Event> {
        let own = self.transfer()?.command.and_then(|command| self.view().event(command)).map(|event| event.at);
        self.control_after(at).find(|event| match event.kind {
            EventKind::Reply(code) => code >= 400,
            EventKind::Command => Some(event.at) != own && ends_wait(event.verb),
            EventKind::Fin | EventKind::Reset => true,
            _ => false,
        })
    }

    /// The place of a tap, by position.
    pub fn place(&self, sight: usize) -> Place {
        self.session.sights[sight].standing.place
    }

    /// The place of a tap was given by the user (or is live).
    pub fn is_given(&self, sight: usize) -> bool {
        self.session.sights[sight].standing.given
    }

    /// Facts of a tap, by position.
    pub fn facts(&self, sight: usize) -> &'a TapFacts {
        &self.taps[self.session.sights[sight].tap]
    }

    /// Evidence: a packet.
    pub fn seen(&self, sight: usize, at: At, text: Text) -> Evidence {
        Evidence { sight, at: Some(at), until: None, source: None, text }
    }

    /// Evidence: an event of the main view, quoted.
    pub fn quoted(&self, index: Option<u32>) -> Option<Evidence> {
        let view = self.view();
        let event = view.event(index?)?;
        Some(self.seen(self.session.main_sight(), event.at, said(view, event)))
    }

    /// Evidence: the negotiation's command and reply.
    pub fn negotiation_evidence(&self) -> Vec<Evidence> {
        let Some(negotiation) = self.negotiation() else { return Vec::new() };
        let reply = negotiation.reply.filter(|&reply| reply != negotiation.command);
        [Some(negotiation.command), reply].into_iter().filter_map(|index| self.quoted(index)).collect()
    }

    /// Evidence: the transfer command and its replies.
    pub fn transfer_evidence(&self) -> Vec<Evidence> {
        let Some(transfer) = self.transfer() else { return Vec::new() };
        let indexes = [transfer.command, transfer.preliminary, transfer.abort, transfer.reply];
        indexes.into_iter().filter_map(|index| self.quoted(index)).collect()
    }

    /// The address of one end of the control connection as a tap saw it.
    pub fn address(&self, sight: usize, side: Side) -> Option<IpAddr> {
        let view = self.session.view(sight)?;
        Some(match side {
            Side::Client => view.client.ip,
            Side::Server => view.server.ip,
        })
    }

    /// Whether a tap knows this end by this address.
    pub fn has_address(&self, side: Side, address: IpAddr) -> bool {
        (0..self.session.sights.len()).any(|sight| self.address(sight, side) == Some(address))
    }
}

/// Commands that a client sends only when it no longer waits for a data connection; TYPE, SIZE, REST and the like may
/// stand between the negotiation and the transfer command.
fn ends_wait(verb: Verb) -> bool {
    verb.is_negotiation() || matches!(verb, Verb::Quit | Verb::Abor | Verb::Rein | Verb::Cwd | Verb::User)
}

/// What an end said, quoted.
pub(super) fn said(view: &View, event: &Event) -> Text {
    let words = String::from_utf8_lossy(view.text_of(event));
    match event.toward {
        Side::Server => say!("client: {words}", words),
        Side::Client => say!("server: {words}", words),
    }
}

/// The name of an end, in words.
pub fn end(side: Side) -> Text {
    match side {
        Side::Client => say!("client"),
        Side::Server => say!("server"),
    }
}

/// The end of a connection that is on this side, given who listens.
pub(super) fn role_at(side: Side, listens: Side) -> Role {
    if side == listens { Role::Listener } else { Role::Opener }
}

/// The time between two moments of one clock, for people.
pub(super) fn seconds(from: Time, to: Time) -> Text {
    lasting(from.until(to))
}

/// A span of time, for people.
pub(super) fn lasting(duration: Duration) -> Text {
    match duration.as_millis() {
        millis @ ..1000 => say!("{millis} ms", millis),
        _ => say!("{seconds} s", seconds = format!("{:.1}", duration.as_secs_f64())),
    }
}
