//! What this host itself tells beside the packets: its netfilter, traced or read, and its sockets. Each may be missing.

use std::collections::HashMap;
use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::now;
use crate::capture::live::conntrack::{self, Conntrack};
use crate::capture::live::sockets::Sockets;
use crate::capture::live::{self, Interface, Netfilter};
use crate::cite::Time;
use crate::language::counted;
use crate::netfilter::conntrack::{Expected, Journal, Pair, Tracked, pair};
use crate::netfilter::snapshot::Snapshot;
use crate::netfilter::socket::{Socket, State, Wanted};
use crate::netfilter::table::Traced;
use crate::packet::Endpoint;
use crate::verdict::{Host, TapFacts};

/// Sockets of a kind that are kept.
const MAX_NOTED: usize = 256;

/// A socket that tries for longer than this does not wait for a neighbour's address: that is given up after three seconds
/// (`mcast_solicit` times `retrans_time_ms` of Linux), and the socket with it.
const PERSISTENT: Duration = Duration::from_secs(5);

/// What connections are for, where they cannot be had.
const CONNECTIONS_TELL: &str =
    "without them, whether a helper reads a session, what it expects, and which SYN has passed is not told";

/// This host's end of a socket, and the other.
type Ends = (Endpoint, Endpoint);

/// The sources that are open.
pub(super) struct OwnHost {
    netfilter: Option<Netfilter>,
    control_ports: Vec<u16>,
    sockets: Option<Sockets>,
    /// Sockets that try to open control connections: when they were seen first, and how often they had tried again by then.
    opening: HashMap<Ends, (Time, u8)>,
    connections: Option<Connections>,
    interfaces: Vec<(String, Vec<IpAddr>)>,
}

/// The connections that the kernel follows.
struct Connections {
    conntrack: Conntrack,
    journal: Journal,
}

impl OwnHost {
    /// Opens what can be had, the trace if it is asked for, and tells the taps of their host. Beside it, a line for
    /// everything that cannot be had.
    pub(super) fn open(
        traced: &Traced,
        trace: bool,
        interfaces: &[Interface],
        taps: &mut [TapFacts],
    ) -> (OwnHost, Vec<String>) {
        let mut absent = Vec::new();
        let connections = Connections::open(&traced.control_ports);
        absent.extend(connections.as_ref().err().cloned());
        let (netfilter, missing) = Netfilter::open(traced, trace, now, interfaces);
        absent.extend(missing);
        let host = netfilter.as_ref().map_or_else(|| live::host(interfaces).into(), Netfilter::host);
        tell(taps, &host);
        let own = OwnHost {
            netfilter,
            control_ports: traced.control_ports.clone(),
            sockets: Sockets::open().ok(),
            opening: HashMap::new(),
            connections: connections.ok(),
            interfaces: interfaces.iter().map(|own| (own.name.clone(), own.addresses.clone())).collect(),
        };
        (own, absent)
    }

    /// Takes what the kernel has told.
    ///
    /// # Errors
    /// It tells no more, in a line.
    pub(super) fn hear(&mut self, now: Time) -> Result<(), String> {
        let read = self.netfilter.as_mut().map_or(Ok(()), |netfilter| netfilter.read(now));
        read.map_err(|error| self.lose_netfilter(&error))?;
        let read = self.connections.as_mut().map_or(Ok(()), |connections| connections.read(now));
        read.map_err(|error| {
            self.connections = None;
            format!("the kernel tells of its connections no more: {error}; {CONNECTIONS_TELL}")
        })
    }

    /// Brings what the taps know of this host up to `needed`, of connections what is known between these addresses; true if
    /// there is something new.
    ///
    /// # Errors
    /// Netfilter tells no more, in a line.
    pub(super) fn ask(&mut self, needed: Time, pairs: &[Pair], taps: &mut [TapFacts]) -> Result<bool, String> {
        let asked = self.ask_netfilter(needed, taps);
        let state = self.connections.as_ref().and_then(|connections| connections.journal.of(pairs));
        let states: Arc<[Snapshot]> = state.map(|known| self.snapshot(known)).into_iter().collect();
        taps.iter_mut().for_each(|tap| tap.states = Arc::clone(&states));
        asked.map(|is_new| is_new || !states.is_empty())
    }

    /// This host as it is now, with what is known of some connections.
    fn snapshot(&self, (tracked, expected): (Vec<Tracked>, Vec<Expected>)) -> Snapshot {
        let netfilter = self.netfilter.as_ref();
        Snapshot {
            time: now(),
            all_rules: netfilter.is_some_and(|netfilter| !netfilter.host().lists.is_empty()),
            rules: netfilter.map(Netfilter::rules).unwrap_or_default(),
            connections: Some(tracked),
            expected,
            interfaces: self.interfaces.clone(),
            ..Snapshot::default()
        }
    }

    fn ask_netfilter(&mut self, needed: Time, taps: &mut [TapFacts]) -> Result<bool, String> {
        let Some(netfilter) = &mut self.netfilter else {
            forget_rules(taps);
            return Ok(false);
        };
        match netfilter.refresh(needed, now) {
            Ok(false) => Ok(false),
            Ok(true) => {
                tell(taps, &netfilter.host());
                taps.iter_mut().for_each(|tap| tap.dropped = netfilter.dropped().to_vec());
                Ok(true)
            }
            Err(why) => {
                forget_rules(taps);
                Err(self.lose_netfilter(&why))
            }
        }
    }

    /// Has listeners traced that the addresses of a control connection do not give away.
    ///
    /// # Errors
    /// Netfilter tells no more, in a line.
    pub(super) fn follow(&mut self, listeners: impl Iterator<Item = Endpoint>) -> Result<(), String> {
        let Some(netfilter) = &mut self.netfilter else { return Ok(()) };
        netfilter.follow(listeners.collect()).map_err(|error| self.lose_netfilter(&error))
    }

    fn lose_netfilter(&mut self, error: &dyn Display) -> String {
        self.netfilter = None;
        format!("netfilter tells no more, and no rule is named from here on: {error}")
    }

    /// Sockets of this host that have gone on trying to open a control connection, and of which conntrack knows nothing: it
    /// would know of a SYN that has passed, whatever a NAT made of it.
    pub(super) fn opening_in_vain(&mut self, now: Time) -> Vec<Socket> {
        let mut all = self.list(State::SynSent);
        all.retain(|socket| self.control_ports.contains(&socket.remote.port));
        let ends = |socket: &Socket| (socket.local, socket.remote);
        let first = |socket: &Socket| self.opening.get(&ends(socket)).copied().unwrap_or((now, socket.retransmits));
        let known: HashMap<Ends, (Time, u8)> = all.iter().map(|socket| (ends(socket), first(socket))).collect();
        let goes_on = |socket: &Socket| {
            let (since, retransmits) = known[&ends(socket)];
            since.until(now) > PERSISTENT && socket.retransmits > retransmits && !self.has_passed(socket)
        };
        let in_vain = all.iter().copied().filter(goes_on).collect();
        self.opening = known;
        in_vain
    }

    /// Where conntrack cannot be asked, it may be so.
    fn has_passed(&self, socket: &Socket) -> bool {
        let Some(connections) = &self.connections else { return conntrack::is_there() };
        let told = connections.journal.of(&[pair(socket.local.ip, socket.remote.ip)]);
        let is_it = |tracked: &Tracked| tracked.original.source == socket.local;
        told.is_some_and(|(tracked, _)| tracked.iter().any(is_it))
    }

    fn list(&mut self, state: State) -> Vec<Socket> {
        let wanted = Wanted { states: &[state], local_port: None, remote_port: None };
        let list = self.sockets.as_mut().and_then(|sockets| sockets.list(&wanted).ok());
        list.unwrap_or_default()
    }

    /// Notes the listeners on control ports that take no further connection.
    pub(super) fn note_full(&mut self, now: Time, taps: &mut [TapFacts]) {
        let mut full = self.list(State::Listen);
        full.retain(|socket| socket.is_full() && self.control_ports.contains(&socket.local.port));
        for tap in taps.iter_mut().filter(|_| !full.is_empty()) {
            tap.full.extend(full.iter().map(|socket| (now, *socket)));
            let excess = tap.full.len().saturating_sub(MAX_NOTED);
            tap.full.drain(..excess);
        }
    }

    /// Notes the sockets of this host that try to open a connection.
    pub(super) fn note_trying(&mut self, now: Time, taps: &mut [TapFacts]) {
        for socket in self.list(State::SynSent) {
            for tap in &mut *taps {
                tap.trying.retain(|(_, other)| (other.local, other.remote) != (socket.local, socket.remote));
                tap.trying.push((now, socket));
                let excess = tap.trying.len().saturating_sub(MAX_NOTED);
                tap.trying.drain(..excess);
            }
        }
    }

    /// A line for each source that told more than could be read.
    pub(super) fn overruns(&self) -> impl Iterator<Item = String> + use<> {
        let netfilter = self.netfilter.as_ref().map_or(0, Netfilter::overruns);
        let connections = self.connections.as_ref().map_or(0, |connections| connections.conntrack.overruns());
        let sources = [
            ("netfilter", netfilter, "a drop may be without its rule"),
            ("conntrack", connections, "what a helper expected may be missing"),
        ];
        let told = |(source, times, missing): (&str, u64, &str)| {
            let lost = counted!(times, "time").english();
            (times > 0).then(|| format!("{source} told more than could be read, {lost}: {missing}"))
        };
        sources.into_iter().filter_map(told)
    }
}

impl Connections {
    /// Begins to listen.
    ///
    /// # Errors
    /// They cannot be had, in a line.
    fn open(control_ports: &[u16]) -> Result<Connections, String> {
        let failed = |why: io::Error| format!("the kernel does not tell of its connections: {why}; {CONNECTIONS_TELL}");
        if !conntrack::is_there() {
            return Err(format!("the kernel follows no connections here; {CONNECTIONS_TELL}"));
        }
        let mut journal = Journal::new(control_ports.to_vec());
        let conntrack = Conntrack::open().map_err(failed)?;
        conntrack::list(now(), |event| journal.take(event)).map_err(failed)?;
        Ok(Connections { conntrack, journal })
    }

    fn read(&mut self, now: Time) -> io::Result<()> {
        let overruns = self.conntrack.overruns();
        self.conntrack.read(now, |event| self.journal.take(event))?;
        if overruns < self.conntrack.overruns() {
            self.journal.forget_expectations();
        }
        Ok(())
    }
}

fn tell(taps: &mut [TapFacts], host: &Arc<Host>) {
    taps.iter_mut().for_each(|tap| tap.host = Some(Arc::clone(host)));
}

/// What was listed counts no longer.
fn forget_rules(taps: &mut [TapFacts]) {
    for host in taps.iter_mut().filter_map(|tap| tap.host.as_mut()).filter(|host| !host.lists.is_empty()) {
        Arc::make_mut(host).lists.clear();
    }
}
