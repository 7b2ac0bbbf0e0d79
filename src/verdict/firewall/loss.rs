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
use crate::tcp::connection::Connection;
use crate::verdict::case::Case;
use crate::verdict::netfilter::host_of;
use crate::verdict::sockets::socket_of;
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
    /// How often it was sent, as far as that is known.
    pub(super) times: u64,
    /// It is known to have been sent at all.
    pub(super) was_sent: bool,
    /// What became of it was silence: its answer may be what was lost.
    pub(super) is_answerable: bool,
    /// It was to open a data connection.
    pub(super) is_data_syn: bool,
    /// What shows it: a packet or a socket.
    pub(super) cited: Option<(At, Option<Source>)>,
    pub(super) v6: bool,
    /// Its ends as it comes to this host.
    pub(super) source: End,
    pub(super) destination: End,
    pub(super) is_syn_ack: bool,
}

/// The packet that a finding misses on the host of a tap, if it is lost on that host alone, or was to begin there and nothing
/// shows that it left, and that host's netfilter is known.
pub(super) fn on_own_host<'a>(case: &Case<'a>, finding: &Finding) -> Option<(&'a Host, Loss)> {
    let (stretch, lost) = (finding.stretch?, finding.lost?);
    let is_syn_ack = match lost {
        Lost::ControlSyn | Lost::DataSyn => false,
        Lost::ControlSynAck | Lost::DataSynAck => true,
        Lost::ControlSegments | Lost::DataSegments => return None,
    };
    let is_data = matches!(lost, Lost::DataSyn | Lost::DataSynAck);
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
    let toward = if is_syn_ack { !listens } else { listens };
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
        times: 1,
        was_sent: false,
        is_answerable: finding.mechanism == Mechanism::SilentDrop && way == Way::Input,
        is_data_syn: lost == Lost::DataSyn,
        cited: None,
        v6: case.address(sight, toward)?.is_ipv6(),
        source: End::default(),
        destination: End::default(),
        is_syn_ack,
    };
    let connections = case.connections(which);
    let seen = connections.iter().find(|(tap, _)| *tap == enters).or(connections.first());
    let loss = match (which, is_data, seen) {
        (None, true, _) => base.never_seen(case, listens)?,
        (_, _, Some((_, connection))) if connection.began().is_some() => base.seen(connection),
        (_, _, Some((_, connection))) => {
            let ends = (connection.opener, connection.listener);
            base.seen(connection).tried(case, |socket| (socket.local, socket.remote) == ends)
        }
        (_, _, None) => return None,
    };
    Some((host, loss))
}

impl Loss {
    /// Of a connection that was seen, or whose refusal was.
    fn seen(self, connection: &Connection) -> Loss {
        let leg = if self.is_syn_ack { connection.syn_ack } else { connection.syn };
        let refused = connection.icmp.as_ref().map(|error| error.at).or(connection.reset.map(|reset| reset.at));
        let at = leg.map(|leg| leg.first).or(refused);
        let (source, destination) = match self.is_syn_ack {
            true => (connection.listener, connection.opener),
            false => (connection.opener, connection.listener),
        };
        let kind = if self.is_syn_ack { "SYN-ACK" } else { "SYN" };
        Loss {
            what: say!("the {kind} {source} > {destination}", kind, source, destination),
            began: at.map_or(self.began, |at| at.time),
            times: leg.map_or(1, |leg| leg.count.get().into()),
            was_sent: at.is_some(),
            cited: at.map(|at| (at, None)),
            source: source.into(),
            destination: destination.into(),
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
                times: u64::from(socket.retransmits) + 1,
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
        let flags = if self.is_syn_ack { Flags::SYN | Flags::ACK } else { Flags::SYN };
        Packet {
            v6: self.v6,
            source: self.source,
            destination: self.destination,
            flags,
            inbound: if self.way == Way::Output { Device::Unknown } else { device() },
            outbound: if self.way == Way::Input { Device::Unknown } else { device() },
            states: if self.is_syn_ack { answered(ruleset) } else { fresh(ruleset, host) },
        }
    }

    /// What this host would have answered, if silence was what became of the packet.
    pub(super) fn answers(&self, ruleset: &Ruleset, host: &Host) -> Vec<(Packet, Way)> {
        let kinds: &[Flags] = match (self.is_answerable, self.is_syn_ack) {
            (false, _) => &[],
            (true, false) => &[Flags(Flags::SYN.0 | Flags::ACK.0), Flags(Flags::RST.0 | Flags::ACK.0)],
            (true, true) => &[Flags::ACK],
        };
        let answer = |flags: &Flags| Packet {
            source: self.destination,
            destination: self.source,
            flags: *flags,
            inbound: Device::Unknown,
            outbound: host.device.clone(),
            states: answered(ruleset),
            ..self.packet(ruleset, host)
        };
        kinds.iter().map(|flags| (answer(flags), Way::Output)).collect()
    }
}

/// States of a SYN. It is never invalid (`tcp_conntracks` in `nf_conntrack_proto_tcp.c`), and related only where a helper reads
/// the control connection.
fn fresh(ruleset: &Ruleset, host: &Host) -> States {
    let related = if has_helper(ruleset, host) { States::RELATED } else { States::NEW };
    States::NEW | related | excepted(ruleset)
}

/// States of what answers a SYN, which this host may not have seen.
fn answered(ruleset: &Ruleset) -> States {
    States::ESTABLISHED | States::INVALID | excepted(ruleset)
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
