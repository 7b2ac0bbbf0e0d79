//! Where a tap stands, told by the packets it saw, when nobody said it.
//!
//! A host's packets leave it with TTL or hop limit 64, 128 or 255 and lose one at every router: an untouched one means
//! the host's own link. The other signs (bad checksums of packets that the network card was to complete, the direction
//! of the cooked header) mean the host itself.

use crate::line::{Place, Side};
use crate::session::view::View;
use crate::tcp::connection::{Connection, Role};

/// Where a tap is, who says so, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The place.
    pub place: Place,
    /// The user gave it.
    pub given: bool,
    /// What it was inferred from: TTL or hop limit of the client's and of the server's packets, if they were captured.
    ttls: Option<(Option<u8>, Option<u8>)>,
}

impl Standing {
    /// A place that the user gave, or none.
    pub fn given(place: Option<Place>) -> Standing {
        Standing { place: place.unwrap_or(Place::Unknown), given: place.is_some(), ttls: None }
    }

    /// How it was inferred; empty if it was not.
    pub fn why(&self) -> String {
        let Some(ttls) = self.ttls else { return String::new() };
        let (Some(client), Some(server)) = ttls else { return "only one end's packets were captured".to_owned() };
        match (hops(client), hops(server)) {
            (0, 0) => format!("both ends' packets are untouched (TTL {client} and {server}): all on one link"),
            (0, far) => {
                format!("the client's packets come untouched (TTL {client}), the server's over {far} router(s)")
            }
            (far, 0) => {
                format!("the server's packets come untouched (TTL {server}), the client's over {far} router(s)")
            }
            (one, other) => format!("the client's packets come over {one} router(s), the server's over {other}"),
        }
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
pub fn standing(view: &View, given: Option<Place>) -> Standing {
    if given.is_some() {
        return Standing::given(given);
    }
    let ttls = ttls(view);
    let place = match (ttls.0.map(hops), ttls.1.map(hops)) {
        (Some(0), Some(0)) | (None, _) | (_, None) => Place::Unknown,
        (Some(0), Some(_)) => Place::Client,
        (Some(_), Some(0)) => Place::Server,
        (Some(_), Some(_)) => Place::Between,
    };
    Standing { place, given: false, ttls: Some(ttls) }
}

fn ttls(view: &View) -> (Option<u8>, Option<u8>) {
    let ttl = |role| Some(view.control.half(role)).filter(|half| half.start.is_some()).map(|half| half.ttl);
    (ttl(Role::Opener), ttl(Role::Listener))
}

/// The taps in line order from the client: by routers passed from the client, then from the server, then by what only
/// one of them saw.
pub fn order(group: &[(usize, Box<View>)]) -> Vec<usize> {
    let mut taps: Vec<(u8, u8, i64, usize)> = group
        .iter()
        .map(|(tap, view)| {
            let (client, server) = ttls(view);
            (client.map_or(u8::MAX, hops), u8::MAX - server.map_or(0, hops), -lean(view), *tap)
        })
        .collect();
    taps.sort_unstable();
    taps.into_iter().map(|(.., tap)| tap).collect()
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
