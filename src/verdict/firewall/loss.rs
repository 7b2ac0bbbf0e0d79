//! The packet that a finding misses, as the rules of the host on which it was lost are asked about it.

use std::net::IpAddr;

use super::Host;
use crate::cite::{At, Time};
use crate::language::{Text, say};
use crate::line::{Place, Point, Side};
use crate::netfilter::evaluate::{Device, End, Packet, States, Way};
use crate::netfilter::ruleset::Ruleset;
use crate::netfilter::socket::Socket;
use crate::packet::Flags;
use crate::tcp::connection::{Connection, Role};
use crate::verdict::case::Case;
use crate::verdict::control;
use crate::verdict::netfilter::host_of;
use crate::verdict::sockets::socket_of;
use crate::verdict::transfer;
use crate::verdict::{Finding, Lost, Mechanism, Source, state};

/// A packet that was lost on a host whose netfilter can be asked.
#[derive(Debug)]
pub(super) struct Loss {
    /// The host's tap.
    pub(super) sight: usize,
    /// How it was to go through the host.
    pub(super) way: Way,
    /// In words: `the SYN a > b`.
    pub(super) what: Text,
    /// When it was first under way.
    pub(super) began: Time,
    /// How often it was sent, where that is known.
    pub(super) times: Option<u64>,
    /// It is known to have been sent at all.
    pub(super) was_sent: bool,
    /// What became of it was silence: its answer may be what was lost.
    pub(super) is_answerable: bool,
    /// It has passed the rules, as the connections that the kernel follows tell: if it is this host, it is the answer.
    pub(super) has_passed: bool,
    /// It is of a data connection, of whose segments a live capture keeps a few.
    pub(super) is_data: bool,
    /// It may be too long for the next link, and only the ICMP error that says so be lost.
    pub(super) is_long: bool,
    /// What shows it: a packet or a socket.
    pub(super) cited: Option<(At, Option<Source>)>,
    pub(super) v6: bool,
    /// Its ends as it comes to this host.
    pub(super) source: End,
    pub(super) destination: End,
    /// Its control bits.
    pub(super) flags: Flags,
    /// Its ends behind the translation of its connection, where the kernel tells them.
    pub(super) translated: Option<(End, End)>,
}

const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);

/// The packet that a finding misses on the host of a tap, if it is lost on that host alone, or was to begin there and nothing
/// shows that it left, and that host's netfilter is known.
pub(super) fn on_own_host<'a>(case: &Case<'a>, finding: &Finding) -> Option<(&'a Host, Loss)> {
    let (stretch, lost) = (finding.stretch?, finding.lost?);
    let is_long = finding.mechanism == Mechanism::PathMtu;
    if is_long && finding.device.is_some() {
        return None; // it was too long, and that was said
    }
    let (flags, of) = match lost {
        Lost::ControlSyn | Lost::DataSyn => (Flags::SYN, None),
        Lost::ControlSynAck | Lost::DataSynAck => (SYN_ACK, None),
        Lost::ControlSegments => (Flags::ACK, Some(control::lost(case)?)),
        Lost::DataSegments => (Flags::ACK, Some(transfer::lost(case)?)),
    };
    let is_data = matches!(lost, Lost::DataSyn | Lost::DataSynAck | Lost::DataSegments);
    let begins_here =
        |sight| finding.mechanism == Mechanism::NeverSent && case.place(sight) == Place::Client && !is_data;
    let is_here = |sight: &usize| host_of(case, *sight) == Some(stretch) || begins_here(*sight);
    let sight = (0..case.session.sights.len()).find(is_here)?;
    let end = state::side_of(case, sight).and_then(|side| case.address(sight, side));
    let is_there = |host: &&Host| host.addresses.is_empty() || end.is_none_or(|end| host.addresses.contains(&end));
    let host = case.facts(sight).host.as_deref().filter(is_there)?;
    let attempt = case.attempts().last().copied();
    let which = attempt.filter(|_| is_data);
    let listens = match (which, is_data) {
        (None, true) => case.negotiation()?.mode.listener(),
        (which, _) => case.listens(which),
    };
    let comes_back = flags == SYN_ACK || of.is_some_and(|(role, _)| role == Role::Listener);
    let toward = if comes_back { !listens } else { listens };
    let way = match (case.place(sight), toward) {
        (Place::Between, _) => Way::Forward,
        (Place::Client, Side::Client) | (Place::Server, Side::Server) => Way::Input,
        (Place::Client, Side::Server) | (Place::Server, Side::Client) => Way::Output,
        (Place::Unknown, _) => return None,
    };
    let enters = match (toward, stretch.from, stretch.to) {
        (Side::Server, Point::Tap(tap), _) | (Side::Client, _, Point::Tap(tap)) => tap,
        _ => sight,
    };
    let base = Loss {
        sight,
        way,
        what: Text::verbatim(""),
        began: case.view().began.time,
        times: Some(1),
        was_sent: false,
        is_answerable: is_silent(finding.mechanism) && way == Way::Input,
        has_passed: flags == Flags::SYN && state::has_passed(case, sight, lost),
        is_data,
        is_long,
        cited: None,
        v6: case.address(sight, toward)?.is_ipv6(),
        source: End::default(),
        destination: End::default(),
        flags,
        translated: None,
    };
    let connections = case.connections(which);
    let seen = connections.iter().find(|(tap, _)| *tap == enters).or(connections.first());
    let loss = match (which, is_data, seen, of) {
        (None, true, _, _) => base.never_seen(case, listens)?,
        (_, _, Some((_, connection)), Some((role, reset))) => {
            let is_here = |(tap, _): &&(usize, &Connection)| case.facts(*tap).capture == case.facts(sight).capture;
            let resets = connections.iter().filter(is_here).filter_map(|(_, connection)| connection.forged_reset());
            let answered = reset.map(|_| resets.map(|reset| u64::from(reset.count)).sum());
            base.said_in_vain(case, connection, role, answered)
        }
        (_, _, Some((_, connection)), None) if connection.began().is_some() => base.seen(case, connection),
        (_, _, Some((_, connection)), None) => {
            let ends = (connection.opener, connection.listener);
            base.seen(case, connection).tried(case, |socket| (socket.local, socket.remote) == ends)
        }
        (_, _, None, _) => return None,
    };
    (!loss.stays_here(case)).then_some((host, loss))
}

/// What is lost so may be the answer as well.
fn is_silent(mechanism: Mechanism) -> bool {
    matches!(mechanism, Mechanism::SilentDrop | Mechanism::Stalled | Mechanism::IdleExpiry)
}

impl Loss {
    /// Of a connection that was seen, or whose refusal was.
    fn seen(self, case: &Case<'_>, connection: &Connection) -> Loss {
        let (kind, role, leg) = match self.flags {
            SYN_ACK => (say!("SYN-ACK"), Role::Listener, connection.syn_ack),
            _ => (say!("SYN"), Role::Opener, connection.syn),
        };
        let refused = connection.icmp.as_ref().map(|error| error.at).or(connection.reset.map(|reset| reset.at));
        let at = leg.map(|leg| leg.first).or(refused);
        let times = Some(leg.map_or(1, |leg| leg.count.get().into()));
        Loss { was_sent: at.is_some(), ..self.sent(case, connection, role, kind, at, times) }
    }

    /// Of a connection that was up: what an end said last, and nobody acknowledged, or so many resets answered that are not the
    /// peer's; before it said anything, what acknowledges the SYN-ACK, again and again.
    fn said_in_vain(self, case: &Case<'_>, connection: &Connection, role: Role, resets: Option<u64>) -> Loss {
        let half = connection.half(role);
        let fin = half.fin.filter(|_| resets.is_none() && !half.unacked());
        let said = Some(half.last_new).filter(|at| *at != At::default());
        let (at, times) = match fin {
            Some(fin) => (Some(fin.first), fin.count.get().into()),
            None if said.is_some() => (said, u64::from(half.resent()) + 1),
            None => (connection.established, connection.syn_ack.map_or(1, |leg| leg.count.get().into())),
        };
        let all_are_captured = !self.is_data;
        let times = resets.or(all_are_captured.then_some(times));
        let flags = if fin.is_some() { Flags::FIN | Flags::ACK } else { Flags::ACK };
        Loss { flags, was_sent: true, ..self.sent(case, connection, role, say!("segment"), at, times) }
    }

    /// Of a packet of this kind that an end of a connection sent so many times.
    fn sent(
        self,
        case: &Case<'_>,
        connection: &Connection,
        role: Role,
        kind: Text,
        at: Option<At>,
        times: Option<u64>,
    ) -> Loss {
        let (source, destination) = match role {
            Role::Opener => (connection.opener, connection.listener),
            Role::Listener => (connection.listener, connection.opener),
        };
        let behind = state::translated(case, self.sight, (source, destination));
        Loss {
            what: say!("the {kind} {source} > {destination}", kind, source, destination),
            began: at.map_or(self.began, |at| at.time),
            times,
            cited: at.map(|at| (at, None)),
            source: source.into(),
            destination: destination.into(),
            translated: behind.map(|(source, destination)| (source.into(), destination.into())),
            ..self
        }
    }

    /// Of a data connection that no tap saw: as it was agreed, and as a socket tries it.
    fn never_seen(self, case: &Case<'_>, listens: Side) -> Option<Loss> {
        let offered = case.negotiation()?.offered?;
        let peer = case.address(self.sight, listens)?;
        let own = case.address(self.sight, !listens)?;
        let began = case.due()?.time;
        // many clients go to the server's own address whatever it announces
        let ip: Option<IpAddr> = Some(peer).filter(|peer| offered.address.is_none_or(|address| address == *peer));
        let agreed = Loss {
            what: say!("the SYN to port {port}", port = offered.port),
            began,
            source: End { ip: Some(own), port: None },
            destination: End { ip, port: Some(offered.port) },
            ..self
        };
        let is_it = |socket: &Socket| {
            socket.remote.port == offered.port && [Some(peer), offered.address].contains(&Some(socket.remote.ip))
        };
        Some(agreed.tried(case, is_it))
    }

    /// As the latest socket that is of it tries it, if there is one.
    fn tried(self, case: &Case<'_>, is_it: impl Fn(&Socket) -> bool) -> Loss {
        match socket_of(case, self.sight, is_it).filter(|(time, _)| *time >= self.began) {
            None => self,
            Some((time, socket)) => Loss {
                what: say!(
                    "the {kind} {source} > {destination}",
                    kind = "SYN",
                    source = socket.local,
                    destination = socket.remote
                ),
                times: Some(u64::from(socket.retransmits) + 1),
                was_sent: true,
                cited: Some((At { time: *time, ..At::default() }, Some(Source::Sockets))),
                source: socket.local.into(),
                destination: socket.remote.into(),
                ..self
            },
        }
    }

    /// The packet.
    pub(super) fn packet(&self, ruleset: &Ruleset, host: &Host) -> Packet {
        let device = || host.device.clone();
        let unknown = || ruleset.translates().then(Default::default);
        Packet {
            v6: self.v6,
            source: self.source,
            destination: self.destination,
            flags: self.flags,
            inbound: if self.way == Way::Output { Device::Unknown } else { device() },
            outbound: if self.way == Way::Input { Device::Unknown } else { device() },
            states: if self.flags == Flags::SYN { fresh(ruleset, host) } else { self.later(ruleset) },
            translated: if self.flags == Flags::SYN { None } else { self.translated.or_else(unknown) },
        }
    }

    /// What this host would have answered to a packet with these ends, if silence was what became of it.
    pub(super) fn answers(
        &self,
        ruleset: &Ruleset,
        host: &Host,
        (source, destination): (End, End),
    ) -> Vec<(Packet, Way)> {
        let kinds: &[Flags] = match (self.is_answerable, self.flags) {
            (false, _) => &[],
            (true, Flags::SYN) => &[SYN_ACK, Flags(Flags::RST.0 | Flags::ACK.0)],
            (true, SYN_ACK) => &[Flags::ACK],
            (true, _) => &[Flags::ACK, Flags::RST],
        };
        let answer = |flags: &Flags| Packet {
            source: destination,
            destination: source,
            flags: *flags,
            inbound: Device::Unknown,
            outbound: host.device.clone(),
            states: self.later(ruleset),
            translated: Some((self.destination, self.source)),
            ..self.packet(ruleset, host)
        };
        kinds.iter().map(|flags| (answer(flags), Way::Output)).collect()
    }

    /// It is addressed to this very host, which would pass it on if it still knew the connection.
    fn stays_here(&self, case: &Case<'_>) -> bool {
        let has = |ip: IpAddr| case.facts(self.sight).states.iter().any(|state| state.has(ip));
        let is_followed = self.flags == Flags::SYN || self.translated.is_some();
        self.way == Way::Forward && !is_followed && self.destination.ip.is_some_and(has)
    }

    /// States of what follows a SYN, which this host may not have seen. A connection that was up it may have forgotten, where
    /// it is not known to follow it: what comes then begins anew (`nf_conntrack_tcp_loose`).
    fn later(&self, ruleset: &Ruleset) -> States {
        let may_be_forgotten = !self.flags.syn() && self.translated.is_none();
        let anew = if may_be_forgotten { States::NEW } else { States::NONE };
        States::ESTABLISHED | States::INVALID | anew | excepted(ruleset)
    }
}

/// States of a SYN. It is never invalid (`tcp_conntracks` in `nf_conntrack_proto_tcp.c`), and related only where a helper reads
/// the control connection.
fn fresh(ruleset: &Ruleset, host: &Host) -> States {
    let related = if has_helper(ruleset, host) { States::RELATED } else { States::NEW };
    States::NEW | related | excepted(ruleset)
}

/// Rules may except packets from being tracked.
fn excepted(ruleset: &Ruleset) -> States {
    let names = ["notrack", "NOTRACK", "--notrack"];
    if ruleset.has_word(|word| names.contains(&word)) { States::UNTRACKED } else { States::NONE }
}

/// The helper may be assigned to control connections.
pub(super) fn has_helper(ruleset: &Ruleset, host: &Host) -> bool {
    host.helpers || ruleset.has_word(|word| matches!(word, "helper" | "--helper"))
}
