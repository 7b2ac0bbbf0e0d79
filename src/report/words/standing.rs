//! Where a tap stands, and how that is known.

use crate::language::{Text, counted, say};
use crate::line::{Place, Side};
use crate::session::place::{Standing, Why, hops};
use crate::verdict::end;

/// Where on the line a place is.
pub(in crate::report) fn place(place: Place) -> &'static str {
    match place {
        Place::Client => "on the client's host",
        Place::Between => "between the hosts",
        Place::Server => "on the server's host",
        Place::Unknown => "at an unknown place",
    }
}

/// Where a tap seems to stand, and why.
pub(in crate::report) fn standing(tap: &str, standing: &Standing) -> Text {
    let why = why(standing.why);
    let end = match standing.place {
        Place::Client => end(Side::Client),
        Place::Server => end(Side::Server),
        Place::Between => return say!("{tap} seems to stand between the hosts: {why}", tap, why),
        Place::Unknown => return say!("where {tap} stands is unknown: {why}", tap, why),
    };
    match standing.why {
        Why::Ttl { .. } => say!("{tap} seems to stand on the {end}'s own host or link: {why}", tap, end, why),
        _ => say!("{tap} seems to stand on the {end}'s own host: {why}", tap, end, why),
    }
}

/// Why a tap is thought to stand there.
pub(in crate::report) fn why(why: Why) -> Text {
    match why {
        Why::Given => Text::verbatim(""),
        Why::Own => say!("the capturing host's own addresses tell"),
        Why::Direction(Side::Client) => say!("the client's packets are outgoing here, the server's incoming"),
        Why::Direction(Side::Server) => say!("the server's packets are outgoing here, the client's incoming"),
        Why::OneEnd => say!("only one end's packets were captured"),
        Why::Ttl { client, server } => match (hops(client), hops(server)) {
            (0, 0) => {
                say!("both ends' packets are untouched (TTL {client} and {server}): all on one link", client, server)
            }
            (0, far) => say!(
                "the client's packets come untouched (TTL {client}), the server's over {routers}",
                client,
                routers = counted!(far, "router")
            ),
            (far, 0) => say!(
                "the server's packets come untouched (TTL {server}), the client's over {routers}",
                server,
                routers = counted!(far, "router")
            ),
            (one, other) => say!(
                "the client's packets come over {one}, the server's over {other}",
                one = counted!(one, "router"),
                other = counted!(other, "router")
            ),
        },
    }
}
