//! Packets of no known connection: what they begin, and whom they belong to.

use std::net::IpAddr;

use crate::cite::At;
use crate::ftp::command::Verb;
use crate::line::Side;
use crate::packet::{Direction, Endpoint, Flags, IcmpError, LOOPBACK, Segment};
use crate::session::flow::{EndKey, Ends};
use crate::session::orphans::Seen;
use crate::session::tracker::{Leg, Owner, Tracker, Waiting, record};
use crate::session::view::{Attempt, CONTROL, EventKind, KnownBy, MAX_TRANSFERS, Transfer, View};
use crate::tcp::connection::{Connection, Noticed, Role};

impl Tracker {
    /// A packet of no known connection.
    pub(super) fn stranger(&mut self, ends: Ends, segment: &Segment<'_>) {
        let (from, to) = (segment.source, segment.destination);
        if !segment.flags.syn()
            && let Some((from, near)) = self.orphan(ends, from, to, segment.direction)
        {
            if segment.flags.intersects(Flags::FIN | Flags::RST) {
                self.keep_orphan(ends, from, near, Seen::Segment(segment.bare()));
            }
            self.census.other_traffic = true;
            if !segment.text.starts_with(b"220") {
                return;
            }
        }
        match (segment.flags.syn(), segment.flags.ack()) {
            _ if segment.flags.rst() => self.refusal(ends, segment),
            (true, false) => self.opening(ends, from, to, segment),
            (true, true) => self.opening(ends, to, from, segment),
            (false, _) if segment.text_len > 0 || segment.flags.fin() => self.middle(ends, segment),
            (false, _) => {}
        }
    }

    /// A reset of a connection whose SYN was not captured: an answer to a SYN (sequence number 0, RFC 9293 3.10.7.1) by a
    /// control port, or by a listener that is waited for and was not reached otherwise. Or a control port's host refused its
    /// own SYN-ACK, in the other end's name.
    fn refusal(&mut self, ends: Ends, segment: &Segment<'_>) {
        let (opener, listener) = (segment.destination, segment.source);
        let to_itself = segment.interface == LOOPBACK && opener.ip != listener.ip;
        if to_itself && self.is_control(opener.port) && !segment.flags.ack() {
            return self.begin(ends, listener, opener, KnownBy::Port, segment);
        }
        if self.is_control(listener.port) && segment.flags.ack() && segment.seq == 0 {
            return self.begin(ends, opener, listener, KnownBy::Port, segment);
        }
        let Some(waiting) = self.waiting_for(ends.from, listener.ip, opener.ip).filter(|_| segment.flags.ack()) else {
            return;
        };
        let live = self.slots[waiting.slot as usize].as_ref();
        if !self.passes(waiting, listener.ip, false, segment.direction) {
            return;
        }
        let untried = live.is_some_and(|live| live.view.attempts_of(waiting.transfer.into()).next().is_none());
        if untried && let Some(owner) = self.attempt(waiting, Connection::new(opener, listener)) {
            self.hand_out(ends, owner, segment);
        }
    }

    fn opening(&mut self, ends: Ends, opener: Endpoint, listener: Endpoint, segment: &Segment<'_>) {
        if self.is_control(listener.port) {
            return self.begin(ends, opener, listener, KnownBy::Port, segment);
        }
        self.census.other_traffic = true;
        let from = if segment.flags.ack() { Role::Listener } else { Role::Opener };
        let owner = match self.waiting_for(ends.listener(from), listener.ip, opener.ip) {
            Some(waiting) if !self.passes(waiting, listener.ip, from == Role::Opener, segment.direction) => return,
            Some(waiting) => self.attempt(waiting, Connection::new(opener, listener)),
            None => self.infer(opener, listener, segment.at),
        };
        match owner {
            Some(owner) => self.hand_out(ends, owner, segment),
            None => {
                let near = self.config.leg.is_near_opener(from == Role::Opener, segment.direction);
                self.keep_orphan(ends, from, near, Seen::Segment(segment.bare()));
            }
        }
    }

    /// Whether a packet of a connection that is waited for passes the leg that is watched.
    fn passes(&self, waiting: Waiting, listener: IpAddr, from_opener: bool, direction: Option<Direction>) -> bool {
        let listens = self.listening_side(waiting.slot, waiting.transfer, listener);
        self.config.leg.carries(if from_opener { listens } else { !listens }, direction)
    }

    /// Who of a connection without an owner sent a packet, and whether it passed the leg towards the opener.
    fn orphan(&self, ends: Ends, from: Endpoint, to: Endpoint, direction: Option<Direction>) -> Option<(Role, bool)> {
        let leg = self.config.leg;
        let legs: &[bool] = if leg == Leg::Both { &[true] } else { &[true, false] };
        legs.iter().find_map(|&near| {
            let role = self.orphans.sender(ends.key().on(near), from, to)?;
            (leg.is_near_opener(role == Role::Opener, direction) == near).then_some((role, near))
        })
    }

    fn keep_orphan(&mut self, ends: Ends, from: Role, near: bool, seen: Seen) {
        self.orphans.add(ends.key().on(near), ends.listener(from).on(near), from, seen);
    }

    /// A segment in the middle of a connection whose opening was not captured.
    fn middle(&mut self, ends: Ends, segment: &Segment<'_>) {
        let (from, to) = (segment.source, segment.destination);
        let text = segment.text_len > 0;
        if self.is_control(to.port) && text {
            return self.begin(ends, from, to, KnownBy::Port, segment);
        }
        if self.is_control(from.port) && text {
            return self.begin(ends, to, from, KnownBy::Port, segment);
        }
        let met = [(ends.to, from, to), (ends.from, to, from)].into_iter().find_map(|(key, opener, listener)| {
            Some((self.waiting_for(key, listener.ip, opener.ip)?, Connection::new(opener, listener)))
        });
        if let Some((waiting, connection)) = met
            && self.passes(waiting, connection.listener.ip, from == connection.opener, segment.direction)
            && let Some(owner) = self.attempt(waiting, connection)
        {
            self.hand_out(ends, owner, segment);
        } else if segment.text.starts_with(b"220") {
            self.begin(ends, to, from, KnownBy::Greeting, segment);
        }
    }

    fn begin(&mut self, ends: Ends, client: Endpoint, server: Endpoint, known_by: KnownBy, segment: &Segment<'_>) {
        let toward = if segment.source == client { Side::Server } else { Side::Client };
        if !self.config.leg.carries(toward, segment.direction) {
            return;
        }
        let near = self.config.leg.is_toward(Side::Client);
        let orphan = self
            .orphans
            .take(ends.key().on(near))
            .filter(|orphan| (orphan.opener, orphan.listener) == (client, server));
        self.census.overheard |= segment.direction == Some(Direction::Overheard);
        let slot = self.add(View::new(client, server, known_by, segment.at));
        self.flows.insert(ends.key(), Owner { slot, attempt: CONTROL });
        if known_by == KnownBy::Greeting {
            self.ports.add(server.port);
        }
        if let (Some(orphan), Some(live)) = (orphan, self.slots[slot as usize].as_mut()) {
            record_opening(&mut live.view, CONTROL, &orphan, Side::Server);
            live.view.began = orphan.began().unwrap_or(segment.at);
            live.view.control = orphan;
        }
        self.control_segment(slot, segment);
    }

    /// A socket of this host tries to open a control connection, in vain: makes a session of it, unless a packet did.
    pub fn tried(&mut self, client: Endpoint, server: Endpoint, at: At) {
        let ends = self.keys.ends(client, server);
        if self.config.leg.is_toward(Side::Server) && !self.flows.contains_key(&ends.key()) {
            let slot = self.add(View::new(client, server, KnownBy::Socket, at));
            self.flows.insert(ends.key(), Owner { slot, attempt: CONTROL });
        }
    }

    /// Who waits for a connection to `listener`: the latest whose peer opens it, else the latest.
    fn waiting_for(&self, key: EndKey, listener: IpAddr, opener: IpAddr) -> Option<Waiting> {
        let all = self.expected.get(&key)?;
        let fits = |waiting: &&Waiting| self.expected_opener(waiting, listener) == Some(opener);
        all.iter().rev().find(fits).or(all.last()).copied()
    }

    fn expected_opener(&self, waiting: &Waiting, listener: IpAddr) -> Option<IpAddr> {
        let view = &self.slots[waiting.slot as usize].as_ref()?.view;
        Some(match listening_side(view, waiting.transfer, listener) {
            Side::Server => view.client.ip,
            Side::Client => view.server.ip,
        })
    }

    fn attempt(&mut self, waiting: Waiting, connection: Connection) -> Option<Owner> {
        let foreign = self.expected_opener(&waiting, connection.listener.ip) != Some(connection.opener.ip);
        let twin = self.twin_of(&waiting, &connection);
        let live = self.slots[waiting.slot as usize].as_mut()?;
        if live.view.attempts.len() >= MAX_TRANSFERS {
            live.view.uncounted += 1;
            return None;
        }
        let ends = self.keys.ends(connection.opener, connection.listener);
        let attempt = live.view.attempts.len() as u16;
        let owner = Owner { slot: waiting.slot, attempt };
        let listens = listening_side(&live.view, waiting.transfer, connection.listener.ip);
        self.twins.remove(&ends.key());
        if let Some(twin) = twin {
            self.add_twin(ends, twin, connection.clone());
        }
        let live = self.slots[waiting.slot as usize].as_mut()?;
        live.view.add_attempt(Attempt { transfer: waiting.transfer, foreign, listens, connection });
        self.flows.insert(ends.key(), owner);
        Some(owner)
    }

    /// In a transfer between two servers (RFC 959 section 5.2) the connection that one session opens is the one that
    /// another session listens for.
    fn twin_of(&self, waiting: &Waiting, connection: &Connection) -> Option<Waiting> {
        let all = self.expected.get(&self.keys.end(connection.listener))?;
        let view = &self.slots[waiting.slot as usize].as_ref()?.view;
        let between_servers = listening_side(view, waiting.transfer, connection.listener.ip) == Side::Client
            && connection.listener.ip != view.client.ip;
        all.iter().rev().find(|other| between_servers && other.slot != waiting.slot).copied()
    }

    fn add_twin(&mut self, ends: Ends, twin: Waiting, connection: Connection) {
        if let Some(live) = self.slots[twin.slot as usize].as_mut() {
            let attempt = live.view.attempts.len() as u16;
            let owner = Owner { slot: twin.slot, attempt };
            let listens = listening_side(&live.view, twin.transfer, connection.listener.ip);
            live.view.add_attempt(Attempt { transfer: twin.transfer, foreign: true, listens, connection });
            self.twins.insert(ends.key(), owner);
        }
    }

    /// Who listens for the data connection of a transfer.
    pub(super) fn listening_side(&self, slot: u32, transfer: u16, listener: IpAddr) -> Side {
        let live = self.slots[slot as usize].as_ref();
        live.map_or(Side::Server, |live| listening_side(&live.view, transfer, listener))
    }

    /// Takes over a connection that was seen before anybody expected it.
    pub(super) fn adopt(&mut self, waiting: Waiting, connection: Connection) {
        let opening = connection.clone();
        let ends = self.keys.ends(connection.opener, connection.listener);
        let Some(owner) = self.attempt(waiting, connection) else { return };
        for owner in [Some(owner), self.twin(ends)].into_iter().flatten() {
            let Some(live) = self.slots[owner.slot as usize].as_mut() else { continue };
            let Some(listens) = live.view.attempts.get(usize::from(owner.attempt)).map(|attempt| attempt.listens)
            else {
                continue;
            };
            record_opening(&mut live.view, owner.attempt, &opening, listens);
        }
    }

    /// A data connection of a session whose negotiations cannot be read, told by the pair of addresses; or one to the
    /// passive range with no session in sight.
    fn infer(&mut self, opener: Endpoint, listener: Endpoint, at: At) -> Option<Owner> {
        if listener.port < 1024 || (opener.port < 1024 && opener.port != 20) {
            return None;
        }
        let in_range = self.config.passive_range.as_ref().map(|range| range.contains(&listener.port));
        let passive = self.secret.get(&(opener.ip, listener.ip)).filter(|_| in_range != Some(false));
        let active = self.secret.get(&(listener.ip, opener.ip));
        let latest = |slots: &Vec<u32>| {
            let last = |&slot: &u32| self.slots[slot as usize].as_ref().map(|live| live.view.last_at.time);
            slots.iter().copied().max_by_key(last)
        };
        let slot = match passive.or(active).and_then(latest) {
            Some(slot) => slot,
            None if in_range == Some(true) => self.begin_unseen(opener, listener, at),
            None => return None,
        };
        let transfer = self.inferred_transfer(slot, listener)?;
        self.expect(slot, transfer, listener);
        self.attempt(Waiting { slot, transfer }, Connection::new(opener, listener))
    }

    fn begin_unseen(&mut self, opener: Endpoint, listener: Endpoint, at: At) -> u32 {
        let unknown = |ip| Endpoint { ip, port: 0 };
        let slot = self.add(View::new(unknown(opener.ip), unknown(listener.ip), KnownBy::PassiveRange, at));
        self.keep_secret(slot);
        slot
    }

    /// A retry from another source port belongs to the same transfer.
    fn inferred_transfer(&mut self, slot: u32, listener: Endpoint) -> Option<u16> {
        let view = &mut self.slots[slot as usize].as_mut()?.view;
        let last = view.transfers.len().checked_sub(1);
        let retry = view
            .attempts
            .last()
            .is_some_and(|attempt| attempt.connection.listener == listener && attempt.connection.established.is_none());
        if !retry || last.is_none() {
            view.add_transfer(Transfer { inferred: true, ..Transfer::default() });
        }
        view.transfers.len().checked_sub(1).map(|last| last as u16)
    }

    pub(super) fn icmp(&mut self, error: &IcmpError) {
        self.census.other_traffic = true;
        let (from, to) = (error.quoted.source, error.quoted.destination);
        let ends = self.keys.ends(from, to);
        let known = self.flows.get(&ends.key()).copied();
        let Some(owner) = known.or_else(|| self.owner_by_icmp(ends, error)) else { return };
        self.owned_icmp(owner, error);
        if let Some(twin) = self.twin(ends) {
            self.owned_icmp(twin, error);
        }
    }

    /// Whose connection it is that an error is the first to tell of.
    fn owner_by_icmp(&mut self, ends: Ends, error: &IcmpError) -> Option<Owner> {
        let (from, to) = (error.quoted.source, error.quoted.destination);
        // It goes the way of an answer to the packet that it quotes.
        if let Some((from, near)) = self.orphan(ends, from, to, error.direction.map(Direction::reversed)) {
            self.keep_orphan(ends, from, near, Seen::Error(Box::new(*error)));
            return None;
        }
        let answer = self.is_control(from.port) && error.is_to_itself();
        if (self.is_control(to.port) || answer) && error.kind.is_unreachable() {
            let (toward, client, server) = if answer { (Side::Server, to, from) } else { (Side::Client, from, to) };
            if !self.config.leg.carries(toward, error.direction) {
                return None;
            }
            let slot = self.add(View::new(client, server, KnownBy::Port, error.at));
            let owner = Owner { slot, attempt: CONTROL };
            self.flows.insert(ends.key(), owner);
            return Some(owner);
        }
        let waiting = self.waiting_for(ends.to, to.ip, from.ip)?;
        let passes = self.passes(waiting, to.ip, false, error.direction);
        passes.then(|| self.attempt(waiting, Connection::new(from, to))).flatten()
    }

    fn owned_icmp(&mut self, owner: Owner, error: &IcmpError) {
        let Some(live) = self.slots[owner.slot as usize].as_mut() else { return };
        let view = &mut live.view;
        let (connection, listens) = match owner.attempt {
            CONTROL => (&mut view.control, Side::Server),
            attempt => match view.attempts.get_mut(usize::from(attempt)) {
                Some(attempt) => (&mut attempt.connection, attempt.listens),
                None => return,
            },
        };
        let quoted_toward = match connection.sender(error.quoted.source, error.quoted.destination) {
            Some(Role::Opener) => listens,
            Some(Role::Listener) => !listens,
            None => return,
        };
        if !self.config.leg.carries(!quoted_toward, error.direction) {
            return;
        }
        view.last_at = error.at;
        if connection.observe_icmp(error) {
            let text = format!("{} from {}", error.kind, error.source);
            view.record(error.at, owner.attempt, EventKind::Icmp, !quoted_toward, Verb::Unknown, &[text.as_bytes()]);
        }
    }
}

/// The legs of an opening that was seen before the session was known.
fn record_opening(view: &mut View, attempt: u16, connection: &Connection, listens: Side) {
    let legs = [
        (connection.syn.map(|leg| leg.first), Noticed::Syn, listens),
        (connection.syn_ack.map(|leg| leg.first), Noticed::SynAck, !listens),
        (connection.established, Noticed::Established, listens),
    ];
    for (at, noticed, toward) in legs {
        if let Some(at) = at {
            record(view, at, attempt, noticed, toward);
        }
    }
}

/// Who listens for the data connection of a transfer: the negotiation says so, or for an inferred one the address.
fn listening_side(view: &View, transfer: u16, listener: IpAddr) -> Side {
    let negotiation = view.transfers.get(usize::from(transfer)).and_then(|transfer| transfer.negotiation.as_ref());
    match negotiation {
        Some(negotiation) => negotiation.mode.listener(),
        None if listener == view.client.ip && listener != view.server.ip => Side::Client,
        None => Side::Server,
    }
}
