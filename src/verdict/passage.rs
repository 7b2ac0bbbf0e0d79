//! How far a packet came: from what the taps saw, and what they did not see, to the stretch in which it vanished.
//!
//! A packet seen at a tap has passed everything before it. One that a tap saw and the next did not was lost between the
//! two. "Not seen" counts only where the capture can vouch for it ([`Case::vouches`]); a tap that cannot is passed over,
//! which makes the stretch wider and never wrong.

use std::net::IpAddr;
use std::time::Duration;

use crate::cite::{At, Time};
use crate::few::Few;
use crate::ftp::command::Verb;
use crate::line::{Place, Point, Side, Stretch};
use crate::session::join::JoinedAttempt;
use crate::session::view::{CONTROL, EventKind, Negotiation, Settled, View};
use crate::tcp::connection::{Connection, Opening, Role};
use crate::verdict::case::{Case, role_at};
use crate::verdict::{Confidence, TapFacts};

/// A tap that is to vouch for an absence has to go on for this long; the clocks of two taps are known to one another with
/// the error of a transit time.
pub(super) const GOES_ON: Duration = Duration::from_secs(1);

/// A packet that is followed along the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transit {
    /// Which way it goes.
    pub toward: Side,
    /// When it was under way, on the main tap's clock.
    pub since: Time,
    /// It is a data connection's, which a capture filter may have left out.
    pub data: bool,
}

/// The furthest that a packet came on its way, and where it would have been seen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Which way it went.
    pub toward: Side,
    /// The last tap that saw it.
    pub last: Option<usize>,
    /// The first tap behind that would have seen it and did not.
    pub next: Option<usize>,
}

impl Passage {
    /// The stretch in which it vanished.
    pub fn stretch(self) -> Stretch {
        Stretch::beyond(self.toward, self.last, self.next)
    }
}

impl<'a> Case<'a> {
    /// How far something came that `seen` tells of every tap.
    pub fn passage(&self, transit: Transit, seen: impl Fn(usize) -> bool) -> Passage {
        self.passage_told(transit, seen, |_| true)
    }

    /// The same where only taps that `tells` approves of could have seen it.
    pub fn passage_told(
        &self,
        transit: Transit,
        seen: impl Fn(usize) -> bool,
        tells: impl Fn(usize) -> bool,
    ) -> Passage {
        let count = self.session.sights.len();
        let path: Vec<usize> = match transit.toward {
            Side::Server => (0..count).collect(),
            Side::Client => (0..count).rev().collect(),
        };
        let last = path.iter().rposition(|&sight| seen(sight));
        let behind = &path[last.map_or(0, |last| last + 1)..];
        let next = behind.iter().copied().find(|&sight| tells(sight) && self.vouches(sight, transit));
        Passage { toward: transit.toward, last: last.map(|last| path[last]), next }
    }

    /// A packet that no tap missed may have been answered, and the answer lost on its way back. That it was not, says the
    /// first tap on that way, from where the packet was last seen, whose capture is complete, or that saw it `again` and
    /// again.
    pub fn without_answer(&self, passage: Passage, transit: Transit, again: impl Fn(usize) -> bool) -> Passage {
        let Some(reached) = passage.last.filter(|_| passage.next.is_none()) else { return passage };
        let answer = Transit { toward: !transit.toward, ..transit };
        let tells = |sight: &usize| again(*sight) || self.vouches(*sight, answer);
        let last = match passage.toward {
            Side::Server => (0..=reached).rfind(tells),
            Side::Client => (reached..self.session.sights.len()).find(tells),
        };
        Passage { last, ..passage }
    }

    /// How far a packet of a connection came: `moment` tells when a tap saw it, if it did.
    pub fn connection_passage(
        &self,
        which: Option<&'a JoinedAttempt>,
        toward: Side,
        moment: impl Fn(&Connection) -> Option<At>,
    ) -> Passage {
        self.connection_passage_told(which, toward, moment, |_, _| true)
    }

    /// The same where only a tap could have seen it if `tells` approves of how it saw the connection.
    pub fn connection_passage_told(
        &self,
        which: Option<&'a JoinedAttempt>,
        toward: Side,
        moment: impl Fn(&Connection) -> Option<At>,
        tells: impl Fn(usize, &Connection) -> bool,
    ) -> Passage {
        let seen: Vec<(usize, At)> =
            self.each_connection(which).filter_map(|(sight, connection)| Some((sight, moment(connection)?))).collect();
        let first = seen.iter().map(|(sight, at)| self.session.on_main_clock(*sight, at.time)).min();
        let since = first.unwrap_or(self.view().began.time);
        let transit = Transit { toward, since, data: which.is_some() };
        let tells = |sight| self.each_connection(which).all(|(other, seen)| other != sight || tells(sight, seen));
        self.passage_told(transit, |sight| seen.iter().any(|(other, _)| *other == sight), tells)
    }

    /// A connection at every tap that saw it, in the order in which a packet passes them on its way.
    pub fn on_the_way(&self, which: Option<&'a JoinedAttempt>, toward: Side) -> Few<(usize, &'a Connection)> {
        let mut connections = self.connections(which);
        if toward == Side::Client {
            connections.reverse();
        }
        connections
    }

    /// Whether it means something that this tap did not see a packet: its capture is complete, shows both directions, and
    /// goes on beyond the moment at which the packet was under way.
    pub fn vouches(&self, sight: usize, transit: Transit) -> bool {
        let facts = self.facts(sight);
        if facts.lost > 0 || (transit.data && (self.may_be_filtered(sight) || !self.is_expected(sight))) {
            return false;
        }
        let Some(view) = self.session.view(sight) else { return self.vouches_unseen(sight) };
        let both = [Role::Opener, Role::Listener].iter().all(|&role| view.control.half(role).start.is_some());
        let one_way_by_loss = view.control.syn.is_some() && self.view().control.established.is_none();
        let on_main_clock = |time| self.session.on_main_clock(sight, time);
        let began = view.control.syn.is_some() || on_main_clock(view.began.time) <= transit.since;
        // of several files, those that go on may be captures of another interface, where no data connection was to be seen
        let only_view = transit.data && facts.files.len() > 1;
        let ended = if only_view { view.last_at.time } else { view.last_at.time.max(facts.census.ended) };
        let goes_on = on_main_clock(ended) > transit.since.plus(GOES_ON);
        let last = on_main_clock(view.last_at.time);
        let is_no_longer = |(other, its): (usize, &View)| {
            let lasted = self.session.on_main_clock(other, its.last_at.time);
            last.plus(GOES_ON) >= lasted && (lasted < last || heard(its) == heard(view))
        };
        let as_long = self.views().all(is_no_longer) && last_event(view) == last_event(self.view());
        let ended = view.settled == Settled::Closed || (!facts.cut && last >= transit.since && as_long);
        (both || one_way_by_loss) && view.gaps == 0 && began && (goes_on || ended)
    }

    /// This tap would know the data connection if it saw it: what was agreed passed it too, though it may have taken it for
    /// superseded.
    fn is_expected(&self, sight: usize) -> bool {
        let port = |negotiation: &Negotiation| negotiation.offered.map(|offered| offered.port);
        let Some(agreed) = self.negotiation().and_then(port) else { return true };
        let Some(view) = self.session.view(sight) else { return true };
        let own = self.transfer.and_then(|index| self.session.transfer(sight, index));
        let superseded = view.transfers.iter().flat_map(|transfer| &transfer.superseded);
        own.and_then(|own| own.negotiation.as_ref()).and_then(port).is_some()
            || superseded.into_iter().any(|negotiation| port(negotiation) == Some(agreed))
    }

    /// The same for a tap that saw nothing of the session. The control connection passes every tap, so where it was up, such
    /// a tap was not capturing, or is not on the line.
    fn vouches_unseen(&self, sight: usize) -> bool {
        let facts = self.facts(sight);
        let up = self.opening(None) == Opening::Established;
        !up && self.is_given(sight) && !facts.cut && self.overlaps(sight)
    }

    /// The capture at this tap may have left data connections out: it holds nothing but control connections, and so do the
    /// others; or a data connection that was up, and must have passed here, is missing.
    pub fn may_be_filtered(&self, sight: usize) -> bool {
        let missing = self.session.attempts.iter().any(|joined| {
            let up = self.opening(Some(joined)) == Opening::Established;
            let unseen = up && self.session.attempt(sight, joined).is_none();
            unseen && !(self.is_taken(joined) && self.shows_other_ports(sight))
        });
        self.holds_only_control() || missing || self.facts(sight).census.data_unseen > 0
    }

    /// No capture shows anything but control connections: a filter may have kept only those.
    pub fn holds_only_control(&self) -> bool {
        !self.taps.iter().any(shows_other_ports)
    }

    /// The capture at this very tap was not limited to control connections.
    pub fn shows_other_ports(&self, sight: usize) -> bool {
        shows_other_ports(self.facts(sight))
    }

    /// Another box than the listener's host accepted this data connection in its name: what it answers comes over another
    /// number of routers than what that host says on the control connection.
    pub fn is_taken(&self, joined: &'a JoinedAttempt) -> bool {
        let listens = self.listens(Some(joined));
        self.each_connection(Some(joined)).any(|(sight, connection)| {
            let half = connection.half(Role::Listener);
            half.start.is_some() && self.same_distance(sight, listens, half.ttl) == Some(false)
        })
    }

    /// A tap that saw nothing of the session says something only if it was capturing at all at that time and for a while
    /// after, as its other packets show and as far as its clock can be believed; and the other leg of a forwarding host, only
    /// if this one saw how it began.
    fn overlaps(&self, sight: usize) -> bool {
        let its = self.facts(sight);
        let (At { time: began, .. }, At { time: last, .. }) = (self.view().began, self.view().last_at);
        let mut legs = self.views().filter(|(other, _)| self.facts(*other).capture == its.capture);
        let goes_on = its.census.ended > began.plus(GOES_ON);
        its.census.began.is_some_and(|its| its <= last) && goes_on && legs.all(|(_, view)| view.control.syn.is_some())
    }

    /// How sure a stretch is: one host or one box, told by complete captures whose places are known, is certain.
    pub fn confidence(&self, stretch: Stretch) -> Confidence {
        let point = |point| match point {
            Point::Tap(sight) => Some(sight),
            Point::Client | Point::Server => None,
        };
        let (from, to) = (point(stretch.from), point(stretch.to));
        let given = [from, to].into_iter().flatten().all(|sight| self.is_given(sight));
        let one_box = match (from, to) {
            (None, Some(to)) => self.place(to) == Place::Client,
            (Some(from), None) => self.place(from) == Place::Server,
            (Some(from), Some(to)) => self.facts(from).capture == self.facts(to).capture,
            (None, None) => false,
        };
        match (given, one_box) {
            (true, true) => Confidence::Certain,
            (_, _) => Confidence::Likely,
        }
    }

    /// The hop distance of the two ends' packets, as `role` of a connection compares with the same address on the control
    /// connection: true if a packet with this TTL comes from the same host.
    pub fn same_distance(&self, sight: usize, side: Side, ttl: u8) -> Option<bool> {
        let half = self.session.view(sight)?.control.half(role_at(side, Side::Server));
        half.start.map(|_| half.ttl == ttl)
    }
}

fn shows_other_ports(tap: &TapFacts) -> bool {
    tap.census.other_traffic || tap.filter.as_deref().is_some_and(lets_every_port_pass)
}

/// Up to which sequence numbers both ends of the control connection were heard, and whether they closed it.
fn heard(view: &View) -> [(Option<u32>, bool); 2] {
    [Role::Opener, Role::Listener].map(|role| {
        let half = view.control.half(role);
        (half.start.map(|start| start.wrapping_add(half.reach as u32)), half.fin.is_some())
    })
}

/// What was said or done last on the control connection.
fn last_event(view: &View) -> Option<(EventKind, Side, Verb)> {
    let last = view.log.iter().rfind(|event| event.attempt == CONTROL);
    last.map(|event| (event.kind, event.toward, event.verb))
}

/// Packets that open or end a TCP connection, over IPv4 and IPv6, in libpcap's language. A capture filter that keeps them
/// besides others hides no data connection.
pub const OPENINGS_FILTER: &str =
    "(tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0) or (ip6[6] = 6 and ip6[53] & 0x07 != 0)";

/// Whether a capture filter lets the packets that open a data connection pass, whatever its ports are: it names nothing
/// but hosts, networks and protocols, or asks for just these packets in one of its alternatives.
fn lets_every_port_pass(filter: &str) -> bool {
    let narrower = without_alternatives(filter);
    let words = narrower.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')'));
    words.filter(|word| !word.is_empty()).all(|word| {
        matches!(word, "host" | "net" | "vlan" | "and" | "or" | "&&" | "||" | "ip" | "ip6" | "tcp" | "icmp" | "icmp6")
            || word.split('/').next().is_some_and(|address| address.parse::<IpAddr>().is_ok())
    })
}

/// The filter without the innermost parenthesis that names [`OPENINGS_FILTER`] as an alternative.
fn without_alternatives(filter: &str) -> String {
    let Some(at) = filter.find(OPENINGS_FILTER) else { return filter.to_owned() };
    let (before, after) = (&filter[..at], &filter[at + OPENINGS_FILTER.len()..]);
    let ends = |depth: &mut i32, opening, closing, c: char| {
        *depth += i32::from(c == closing) - i32::from(c == opening);
        *depth > 0
    };
    let mut depth = 0;
    let from = before.rfind(|c| ends(&mut depth, ')', '(', c)).unwrap_or(0);
    let mut depth = 0;
    let until = after.find(|c| ends(&mut depth, '(', ')', c)).unwrap_or(after.len());
    without_alternatives(&format!("{} {}", &before[..from], after.get(until + 1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_by_hosts_hides_no_data_connection() {
        for open in ["", "ip", "host 192.0.2.1 and (tcp or icmp)", "net 2001:db8::/32"] {
            assert!(lets_every_port_pass(open), "{open}");
        }
        for closed in
            ["port 21", "tcp[2:2] = 21", "(host 192.0.2.1) and (portrange 20-21)", "greater 100", "not host 192.0.2.1"]
        {
            assert!(!lets_every_port_pass(closed), "{closed}");
        }
        let live = format!("(tcp port 21 or {OPENINGS_FILTER} or (icmp[icmptype] = 3))");
        assert!(lets_every_port_pass(&live), "{live}");
        assert!(lets_every_port_pass(&format!("(host 192.0.2.1) and ({live})")));
        assert!(!lets_every_port_pass(&format!("(port 21) and ({live} or (vlan and {live}))")));
    }
}
