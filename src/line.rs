//! Floor 0: the line from the client's own stack to the server's, the taps on it, and the stretch a verdict names.
//!
//! ```text
//!     client ──┤ tap ├── network ──┤ tap ├── network ──┤ tap ├── server
//! ```
//!
//! A packet seen at a tap has passed all that lies before it on its way; a packet that one tap saw and the next did not
//! was lost between the two. Everything else in the verdicts rests on these two sentences.

use std::ops::Not;

/// An end of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The FTP client's host.
    Client,
    /// The FTP server's host.
    Server,
}

impl Not for Side {
    type Output = Side;

    fn not(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// Where on the line a tap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// On the client's host.
    Client,
    /// On neither host.
    Between,
    /// On the server's host.
    Server,
    /// Nobody said, and the packets do not tell.
    Unknown,
}

/// A point on the line: an end, or a tap by its position in line order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// The client's own stack.
    Client,
    /// The tap with this position, counted from the client.
    Tap(usize),
    /// The server's own stack.
    Server,
}

impl Point {
    /// Order from the client to the server.
    fn rank(self) -> usize {
        match self {
            Point::Client => 0,
            Point::Tap(tap) => tap + 1,
            Point::Server => usize::MAX,
        }
    }
}

/// The part of the line in which a packet vanished; its ends run from the client's to the server's whatever the packet's
/// direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stretch {
    /// The end nearer to the client.
    pub from: Point,
    /// The end nearer to the server.
    pub to: Point,
}

impl Stretch {
    /// The whole line.
    pub const WHOLE: Stretch = Stretch { from: Point::Client, to: Point::Server };

    /// The stretch that a packet on its way to `toward` had before it when it was last seen at `last` (nowhere: its
    /// sender's end) and would next have passed `next` (nowhere: its receiver's end).
    pub fn beyond(toward: Side, last: Option<usize>, next: Option<usize>) -> Stretch {
        match toward {
            Side::Server => {
                Stretch { from: last.map_or(Point::Client, Point::Tap), to: next.map_or(Point::Server, Point::Tap) }
            }
            Side::Client => {
                Stretch { from: next.map_or(Point::Client, Point::Tap), to: last.map_or(Point::Server, Point::Tap) }
            }
        }
    }

    /// The smallest stretch that holds both.
    pub fn hull(self, other: Stretch) -> Stretch {
        let from = if self.from.rank() <= other.from.rank() { self.from } else { other.from };
        let to = if self.to.rank() >= other.to.rank() { self.to } else { other.to };
        Stretch { from, to }
    }

    /// What both have in common; if that is nothing, all from one to the other, since it is not known which of them is
    /// wrong.
    pub fn meet(self, other: Stretch) -> Stretch {
        let from = if self.from.rank() >= other.from.rank() { self.from } else { other.from };
        let to = if self.to.rank() <= other.to.rank() { self.to } else { other.to };
        if from.rank() < to.rank() { Stretch { from, to } } else { self.hull(other) }
    }

    /// Whose part of the line this is, given the places of the taps in line order.
    pub fn owner(self, places: &[Place]) -> Owner {
        let place = |point| match point {
            Point::Client => None,
            Point::Tap(tap) => places.get(tap).copied(),
            Point::Server => None,
        };
        match (self.from, self.to) {
            (Point::Client, Point::Server) => Owner::Unknown,
            (Point::Client, to) => match place(to) {
                Some(Place::Client | Place::Between) => Owner::Client,
                Some(Place::Server) => Owner::BeyondServer,
                _ => Owner::Unknown,
            },
            (from, Point::Server) => match place(from) {
                Some(Place::Server | Place::Between) => Owner::Server,
                Some(Place::Client) => Owner::BeyondClient,
                _ => Owner::Unknown,
            },
            (from, to) => match (place(from), place(to)) {
                (Some(Place::Unknown), _) | (_, Some(Place::Unknown)) => Owner::Unknown,
                _ => Owner::Network,
            },
        }
    }
}

/// Whose part of the line a stretch is (`side` of the JSON form).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The client's host, or its end of the line up to a tap in the middle.
    Client,
    /// Between the taps.
    Network,
    /// The server's host, or its end of the line from a tap in the middle.
    Server,
    /// Everything but the client's own host.
    BeyondClient,
    /// Everything but the server's own host.
    BeyondServer,
    /// Nobody on the path is to blame.
    None,
    /// The taps do not tell.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAPS: [Place; 3] = [Place::Client, Place::Between, Place::Server];

    fn stretch(from: Point, to: Point) -> Stretch {
        Stretch { from, to }
    }

    #[test]
    fn a_stretch_runs_from_the_client_to_the_server_whichever_way_the_packet_went() {
        let seen = Stretch::beyond(Side::Server, Some(0), Some(1));
        assert_eq!(seen, stretch(Point::Tap(0), Point::Tap(1)));
        let seen = Stretch::beyond(Side::Client, Some(1), Some(0));
        assert_eq!(seen, stretch(Point::Tap(0), Point::Tap(1)));
        assert_eq!(Stretch::beyond(Side::Server, None, Some(0)), stretch(Point::Client, Point::Tap(0)));
        assert_eq!(Stretch::beyond(Side::Client, None, Some(2)), stretch(Point::Tap(2), Point::Server));
        assert_eq!(Stretch::beyond(Side::Client, Some(0), None), stretch(Point::Client, Point::Tap(0)));
    }

    #[test]
    fn the_owner_follows_from_the_places_of_the_ends() {
        let owner = |from, to| stretch(from, to).owner(&TAPS);
        assert_eq!(owner(Point::Client, Point::Tap(0)), Owner::Client);
        assert_eq!(owner(Point::Client, Point::Tap(1)), Owner::Client);
        assert_eq!(owner(Point::Client, Point::Tap(2)), Owner::BeyondServer);
        assert_eq!(owner(Point::Tap(0), Point::Tap(2)), Owner::Network);
        assert_eq!(owner(Point::Tap(0), Point::Server), Owner::BeyondClient);
        assert_eq!(owner(Point::Tap(1), Point::Server), Owner::Server);
        assert_eq!(owner(Point::Tap(2), Point::Server), Owner::Server);
        assert_eq!(owner(Point::Client, Point::Server), Owner::Unknown);
        assert_eq!(stretch(Point::Client, Point::Tap(0)).owner(&[Place::Unknown]), Owner::Unknown);
    }

    #[test]
    fn hull_and_meet_are_the_smallest_cover_and_the_common_part() {
        let (one, other) = (stretch(Point::Client, Point::Tap(1)), stretch(Point::Tap(0), Point::Server));
        assert_eq!(one.hull(other), Stretch::WHOLE);
        assert_eq!(one.meet(other), stretch(Point::Tap(0), Point::Tap(1)));
        let apart = (stretch(Point::Client, Point::Tap(0)), stretch(Point::Tap(0), Point::Server));
        assert_eq!(apart.0.meet(apart.1), Stretch::WHOLE);
        assert_eq!(one.hull(one), one);
    }
}
