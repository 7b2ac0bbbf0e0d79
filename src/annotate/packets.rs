//! Which packets of a capture are those of some sessions.
//!
//! A session's packets are those of its connections, and the ICMP errors about them, from its first packet to its latest. They are
//! found by reading the capture again, in the same order.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::capture::file::{Facts, TapReader};
use crate::capture::filter::{Filter, Sieve};
use crate::cite::At;
use crate::packet::{Decoder, Endpoint, Frame, Layout, Packet, Segment};
use crate::session::view::View;

/// A packet of a capture: its file and its number there.
pub(super) type Position = (u16, u32);

pub(super) fn position(at: At) -> Position {
    (at.file, at.frame)
}

/// The ends of a connection, the lesser first.
type Flow = [Endpoint; 2];

fn flow(one: Endpoint, other: Endpoint) -> Flow {
    if one <= other { [one, other] } else { [other, one] }
}

/// One session at one tap.
#[derive(Debug)]
pub(super) struct Passing {
    pub(super) capture: usize,
    client: Endpoint,
    server: Endpoint,
    data: Vec<Flow>,
    first: Position,
    latest: Position,
    offset_ns: i64,
}

impl Passing {
    /// What a view shows; `offset_ns` is what to add to its times to get the main tap's.
    pub(super) fn of(view: &View, capture: usize, offset_ns: i64) -> Passing {
        let data = view.attempts.iter().map(|attempt| flow(attempt.connection.opener, attempt.connection.listener));
        Passing {
            capture,
            client: view.client,
            server: view.server,
            data: data.collect(),
            first: position(view.began),
            latest: position(view.last_at),
            offset_ns,
        }
    }

    fn flows(&self) -> impl Iterator<Item = (Flow, bool)> {
        let control = (flow(self.client, self.server), true);
        self.data.iter().map(|&data| (data, false)).chain([control])
    }
}

/// A packet that is kept.
pub(super) struct Picked<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) layout: Layout,
    /// The segment, if it is one of a control connection in one piece.
    pub(super) words: Option<Segment<'a>>,
    /// What to add to its time to get that on the main clock of its session.
    pub(super) offset_ns: i64,
}

/// Reads a capture again.
pub(super) struct Picker<'a> {
    reader: TapReader,
    sieve: Option<Sieve>,
    decoder: Decoder,
    passings: Vec<&'a Passing>,
    /// Those that begin with a packet.
    begin: HashMap<Position, Vec<usize>>,
    /// Those whose latest packet it is.
    end: HashMap<Position, Vec<usize>>,
    under_way: UnderWay,
}

/// The connections of the sessions that have begun and not ended.
#[derive(Default)]
struct UnderWay {
    /// To which passing each belongs, and whether it is its control connection.
    flows: HashMap<Flow, Vec<(usize, bool)>>,
    /// How many flows are between two hosts.
    hosts: HashMap<[IpAddr; 2], usize>,
}

impl UnderWay {
    fn begin(&mut self, number: usize, passing: &Passing) {
        for (flow, is_control) in passing.flows() {
            self.flows.entry(flow).or_default().push((number, is_control));
            *self.hosts.entry(flow.map(|end| end.ip)).or_default() += 1;
        }
    }

    fn end(&mut self, number: usize, passing: &Passing) {
        for (flow, _) in passing.flows() {
            if let Some(owners) = self.flows.get_mut(&flow) {
                owners.retain(|(owner, _)| *owner != number);
                if owners.is_empty() {
                    self.flows.remove(&flow);
                }
            }
            let hosts = flow.map(|end| end.ip);
            if let Some(count) = self.hosts.get_mut(&hosts) {
                *count -= 1;
                if *count == 0 {
                    self.hosts.remove(&hosts);
                }
            }
        }
    }

    /// Whose connection is between these ends, and whether it is a control connection.
    fn owner(&self, one: Endpoint, other: Endpoint) -> Option<(usize, bool)> {
        let owners = self.flows.get(&flow(one, other))?;
        Some((owners.first()?.0, owners.iter().any(|(_, is_control)| *is_control)))
    }

    fn has_hosts(&self, one: IpAddr, other: IpAddr) -> bool {
        self.hosts.contains_key(&[one, other]) || self.hosts.contains_key(&[other, one])
    }
}

impl<'a> Picker<'a> {
    /// A picker of the packets of `passings`, of which only those count that pass the filter.
    pub(super) fn new(reader: TapReader, filter: Option<&Filter>, passings: Vec<&'a Passing>) -> Picker<'a> {
        let by = |place: fn(&Passing) -> Position| {
            let mut places: HashMap<Position, Vec<usize>> = HashMap::new();
            for (number, passing) in passings.iter().enumerate() {
                places.entry(place(passing)).or_default().push(number);
            }
            places
        };
        let (begin, end) = (by(|passing| passing.first), by(|passing| passing.latest));
        let (decoder, under_way) = (Decoder::new(), UnderWay::default());
        Picker { reader, sieve: filter.map(Filter::ready), decoder, passings, begin, end, under_way }
    }

    /// What is known of the capture's files so far.
    pub(super) fn facts(&self) -> &Facts {
        self.reader.facts()
    }

    /// The interface of the first packet.
    pub(super) fn first_interface(&mut self) -> u32 {
        self.reader.peek().map_or(0, |frame| frame.interface)
    }

    /// Who are the client and the server of the control connections.
    pub(super) fn clients(&self) -> impl Iterator<Item = (Endpoint, Endpoint)> {
        self.passings.iter().map(|passing| (passing.client, passing.server))
    }

    /// Reads one packet, and shows it if it is one of those. False at the end of the capture.
    pub(super) fn step(&mut self, look: impl FnOnce(Picked<'_>)) -> bool {
        let Picker { reader, sieve, decoder, passings, begin, end, under_way } = self;
        let Some(frame) = reader.next() else { return false };
        if sieve.as_mut().is_some_and(|sieve| !sieve.passes(&frame)) {
            return true;
        }
        for &number in begin.get(&position(frame.at)).into_iter().flatten() {
            under_way.begin(number, passings[number]);
        }
        let packet = decoder.decode(&frame);
        if let Some(layout) = frame.layout()
            && let Some((owner, words)) = wanted(under_way, &packet, &layout)
        {
            look(Picked { frame, layout, words, offset_ns: owner.map_or(0, |owner| passings[owner].offset_ns) });
        }
        for &number in end.get(&position(frame.at)).into_iter().flatten() {
            under_way.end(number, passings[number]);
        }
        true
    }
}

/// Whose packet this is, if it is wanted, and its segment, if it is one in one piece of a control connection. Of a fragment it is
/// not known whose it is.
fn wanted<'a>(
    under_way: &UnderWay,
    packet: &Packet<'a>,
    layout: &Layout,
) -> Option<(Option<usize>, Option<Segment<'a>>)> {
    match packet {
        Packet::Segment(segment) => {
            let (owner, is_control) = under_way.owner(segment.source, segment.destination)?;
            Some((Some(owner), (is_control && !layout.is_fragment).then_some(*segment)))
        }
        Packet::IcmpError(error) => {
            let (owner, _) = under_way.owner(error.quoted.source, error.quoted.destination)?;
            Some((Some(owner), None))
        }
        Packet::Other => {
            (layout.is_fragment && under_way.has_hosts(layout.source, layout.destination)).then_some((None, None))
        }
        Packet::Undecoded(_) => None,
    }
}
