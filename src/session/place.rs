//! Where a tap stands, told by the packets it saw, when nobody said it.
//!
//! A host's packets leave it with TTL or hop limit 64, 128 or 255 and lose one at every router: an untouched one means
//! the host's own link. The other signs (bad checksums of packets that the network card was to complete, the direction
//! of the cooked header) mean the host itself.

use std::net::IpAddr;
use std::sync::Arc;

use crate::line::{Place, Side};
use crate::session::view::View;
use crate::tcp::connection::{Connection, Role};

/// What is known of a tap's place before its packets are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placing {
    /// The user says it.
    Given(Place),
    /// The addresses of the capturing host are known: they decide.
    Own(Arc<[IpAddr]>),
    /// Nobody says it; of a capture on all interfaces only the leg towards this end shows the session, so the host does
    /// not forward it: it is the other end's own.
    OneLeg(Side),
    /// Nobody says it; it is the leg towards this end of a host that forwards, and the other leg is the tap beside it.
    Leg(Side),
    /// Nobody says it.
    Open,
}

impl Placing {
    /// The place that the user gave.
    pub fn given(&self) -> Option<Place> {
        match *self {
            Placing::Given(place) => Some(place),
            Placing::Own(_) | Placing::OneLeg(_) | Placing::Leg(_) | Placing::Open => None,
        }
    }
}

/// Where a tap is, who says so, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The place.
    pub place: Place,
    /// It is known: the user gave it, or the capturing host's own addresses tell.
    pub given: bool,
    /// How it is known or was inferred.
    pub why: Why,
}

/// Why a place was inferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was not: the user gave it.
    Given,
    /// The capturing host has this end's address, or neither's, or both's.
    Own,
    /// The TTL or hop limit of the client's and of the server's packets.
    Ttl {
        /// Of the client's packets.
        client: u8,
        /// Of the server's.
        server: u8,
    },
    /// Which way the capturing host's packets go.
    Direction(Side),
    /// Too little was captured.
    OneEnd,
}

impl Standing {
    /// A tap that saw nothing stands where the user says; a leg of a host that is known by its addresses is one between the
    /// ends.
    pub fn unseen(placing: &Placing) -> Standing {
        if matches!(placing, Placing::Own(_)) {
            return Standing { place: Place::Between, given: true, why: Why::Own };
        }
        let (place, why) = placing.given().map_or((Place::Unknown, Why::OneEnd), |place| (place, Why::Given));
        Standing { place, given: why == Why::Given, why }
    }
}

/// Routers that a packet has passed, from its TTL, by the initial values in use (64, 128, 255).
pub fn hops(ttl: u8) -> u8 {
    match ttl {
        0..=64 => 64 - ttl,
        65..=128 => 128 - ttl,
        _ => 255 - ttl,
    }
}

/// Where the tap of this view stands.
pub fn standing(view: &View, placing: &Placing) -> Standing {
    let inferred = |place, why| Standing { place, given: false, why };
    let is_looped = view.client.ip == view.server.ip;
    match (placing, ttls(view)) {
        (&Placing::Given(place), _) => Standing { place, given: true, why: Why::Given },
        (Placing::Own(addresses), ttls) => own_standing([view.client.ip, view.server.ip], addresses, ttls),
        (Placing::OneLeg(Side::Server), (Some(_), Some(_))) if !is_looped => {
            inferred(Place::Client, Why::Direction(Side::Client))
        }
        (Placing::OneLeg(Side::Client), (Some(_), Some(_))) => inferred(Place::Server, Why::Direction(Side::Server)),
        (_, (Some(client), Some(server))) => {
            let place = match (hops(client), hops(server)) {
                (0, 0) => Place::Unknown,
                (0, _) => Place::Client,
                (_, 0) => Place::Server,
                (_, _) => Place::Between,
            };
            inferred(place, Why::Ttl { client, server })
        }
        (_, _) => inferred(Place::Unknown, Why::OneEnd),
    }
}

/// The same where the session shows on both legs of one host: that forwards it, even if it has the address that the other
/// end speaks to (a port forwarding), or has given it its own (a masquerade). A session with itself does so, too.
pub fn standing_of_leg(view: &View, placing: &Placing) -> Standing {
    let standing = standing(view, placing);
    let has = |end| matches!(placing, Placing::Own(addresses) if addresses.contains(&end));
    match standing.why {
        Why::Own if !(has(view.client.ip) && has(view.server.ip)) => Standing { place: Place::Between, ..standing },
        _ => standing,
    }
}

/// Where a host with these addresses stands. One that only forwards to what has its address (a port forwarding, seen from
/// outside) shows it by the TTL; a session of a host with itself has no line that could be stood on.
fn own_standing([client, server]: [IpAddr; 2], addresses: &[IpAddr], ttls: (Option<u8>, Option<u8>)) -> Standing {
    let has = |end, ttl: Option<u8>| (addresses.contains(&end), ttl.is_none_or(|ttl| hops(ttl) == 0));
    let place = match (has(client, ttls.0), has(server, ttls.1)) {
        ((true, true), (false, _)) => Place::Client,
        ((false, _), (true, true)) => Place::Server,
        ((false, _), (false, _)) => Place::Between,
        ((true, _), (_, _)) | ((_, _), (true, _)) => Place::Unknown,
    };
    Standing { place, given: true, why: Why::Own }
}

fn ttls(view: &View) -> (Option<u8>, Option<u8>) {
    let ttl = |role| Some(view.control.half(role)).filter(|half| half.start.is_some()).map(|half| half.ttl);
    (ttl(Role::Opener), ttl(Role::Listener))
}

/// The taps in line order from the client: by routers passed from the client, then from the server, then by what only
/// one of them saw if all saw how it began, then as they were given. Of a host that forwards, the leg towards the client
/// comes first. One whose own addresses show it to be between the ends forwards what it is sent: there a leg that shows
/// nothing is a tap that saw nothing.
pub fn order(group: &[(usize, Box<View>)], placings: &[Placing]) -> Vec<usize> {
    let comparable = group.iter().all(|(_, view)| view.control.syn.is_some() && !ends_early(view, group));
    let mut taps: Vec<(u8, u8, i64, usize)> = group
        .iter()
        .map(|(tap, view)| {
            let (client, server) = ttls(view);
            let lean = if comparable { lean(view) } else { 0 };
            (client.map_or(u8::MAX, hops), u8::MAX - server.map_or(0, hops), -lean, *tap)
        })
        .collect();
    taps.sort_unstable();
    let mut order: Vec<usize> = taps.into_iter().map(|(.., tap)| tap).collect();
    let at = |order: &[usize], tap| order.iter().position(|other| *other == tap);
    for tap in (0..placings.len()).filter(|&tap| is_first_leg(placings, tap)) {
        match (at(&order, tap), at(&order, tap + 1)) {
            (Some(first), Some(second)) if second < first => order.swap(first, second),
            (Some(first), None) if stands_between(group, tap, placings) => order.insert(first + 1, tap + 1),
            (None, Some(second)) if stands_between(group, tap + 1, placings) => order.insert(second, tap),
            (_, _) => {}
        }
    }
    order
}

/// This tap is the leg towards the client of a host, and the next its other leg.
fn is_first_leg(placings: &[Placing], tap: usize) -> bool {
    match &placings[tap] {
        Placing::Leg(side) => *side == Side::Client,
        Placing::Own(_) => placings.get(tap + 1) == placings.get(tap) && !(tap > 0 && is_first_leg(placings, tap - 1)),
        Placing::Given(_) | Placing::OneLeg(_) | Placing::Open => false,
    }
}

fn stands_between(group: &[(usize, Box<View>)], tap: usize, placings: &[Placing]) -> bool {
    let own = matches!(placings[tap], Placing::Own(_));
    let view = group.iter().find(|(other, _)| *other == tap).map(|(_, view)| view);
    own && view.is_some_and(|view| standing(view, &placings[tap]).place == Place::Between)
}

/// Another tap saw more of what either end said, so that this capture, rather than what it saw, ended before.
fn ends_early(view: &View, group: &[(usize, Box<View>)]) -> bool {
    let said = |view: &View, role| {
        let half = view.control.half(role);
        half.reach + u64::from(half.fin.is_some())
    };
    let more = |other: &View| [Role::Opener, Role::Listener].iter().all(|&role| said(other, role) > said(view, role));
    group.iter().any(|(_, other)| more(other))
}

/// What passed this tap towards the server less what passed it towards the client, in bytes and handshake packets: of
/// two taps with a loss between them, the greater is nearer to the client.
fn lean(view: &View) -> i64 {
    let bytes = |connection: &Connection, role| connection.half(role).reach as i64;
    let control = bytes(&view.control, Role::Opener) - bytes(&view.control, Role::Listener);
    let data = view.attempts.iter().map(|attempt| {
        let c = &attempt.connection;
        let toward_listener = i64::from(c.syn.is_some()) + i64::from(c.established.is_some()) + bytes(c, Role::Opener);
        let toward_opener = i64::from(c.syn_ack.is_some()) + bytes(c, Role::Listener);
        match attempt.listens {
            Side::Server => toward_listener - toward_opener,
            Side::Client => toward_opener - toward_listener,
        }
    });
    control + data.sum::<i64>()
}
