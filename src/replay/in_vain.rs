//! Control connections that a host tried to open in vain, as its snapshots tell, beside a capture that has nothing of them.

use std::time::Duration;

use crate::cite::{At, Time};
use crate::netfilter::snapshot::Snapshot;
use crate::netfilter::socket::Socket;
use crate::packet::Endpoint;
use crate::session::view::{KnownBy, View};
use crate::verdict::TapFacts;

/// The sockets of a snapshot are listed within this time of its moment.
const LISTED: Duration = Duration::from_secs(1);

/// What was tried, and not seen so far.
pub(super) struct InVain(Vec<Tried>);

/// A socket that went on trying from one snapshot to a later one.
struct Tried {
    since: Time,
    until: Time,
    socket: Socket,
}

impl Tried {
    /// Client and server.
    fn ends(&self) -> (Endpoint, Endpoint) {
        (self.socket.local, self.socket.remote)
    }

    fn view(&self) -> View {
        let (client, server) = self.ends();
        View::new(client, server, KnownBy::Socket, At { time: self.since, ..At::default() })
    }

    /// Whether a capture of everything would show a try between the two: it ran meanwhile, and misses nothing that it says.
    fn would_be_in(&self, facts: &TapFacts) -> bool {
        let began = facts.census.began.is_some_and(|began| began <= self.since);
        began && facts.census.ended > self.until.plus(LISTED) && facts.lost == 0 && !facts.cut
    }
}

impl InVain {
    /// What these snapshots tell, the earliest first.
    pub(super) fn new(states: &[Snapshot], control_ports: &[u16]) -> InVain {
        let mut all: Vec<Tried> = Vec::new();
        for pair in states.windows(2) {
            let [earlier, later] = pair else { continue };
            for socket in later.trying_since(earlier, control_ports) {
                let new = Tried { since: earlier.time, until: later.time, socket };
                match all.iter_mut().find(|tried| tried.ends() == new.ends()) {
                    Some(known) => *known = Tried { since: known.since, ..new },
                    None => all.push(new),
                }
            }
        }
        InVain(all)
    }

    /// This session was seen.
    pub(super) fn saw(&mut self, view: &View) {
        self.0.retain(|tried| tried.ends() != (view.client, view.server));
    }

    /// Sessions of what was tried and not seen, where a capture of everything with these facts would show it.
    pub(super) fn take(&mut self, facts: &TapFacts) -> Vec<Box<View>> {
        self.0.extract_if(.., |tried| tried.would_be_in(facts)).map(|tried| Box::new(tried.view())).collect()
    }

    /// What cannot be told, why, and what would tell it.
    pub(super) fn untold(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|Tried { socket: Socket { local, remote, .. }, .. }| {
            format!(
                "the socket {local} > {remote} sent its SYN again between two snapshots, and none is here; to know \
                 whether one left, capture on all interfaces without a filter (-i any of tcpdump 4.99 or newer) from \
                 before the first snapshot until seconds after the second, and say --unfiltered"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netfilter::socket::State;
    use crate::session::tracker::Census;

    fn state(second: i64, retransmits: u8) -> Snapshot {
        let [local, remote] =
            [([10, 1, 0, 2], 40_000), ([10, 1, 0, 1], 21)].map(|(ip, port)| Endpoint { ip: ip.into(), port });
        let socket =
            Socket { state: State::SynSent, local, remote, retransmits, receive_queue: 0, send_queue: 1, uid: 0 };
        let time = Time(second * 1_000_000_000);
        Snapshot { time, sockets: Some(vec![socket]), connections: Some(Vec::new()), ..Snapshot::default() }
    }

    fn tried(states: &[Snapshot]) -> InVain {
        InVain::new(states, &[21])
    }

    /// A capture from one second to another.
    fn facts(from: i64, to: i64) -> TapFacts {
        let [began, ended] = [from, to].map(|second| Time(second * 1_000_000_000));
        TapFacts { census: Census { began: Some(began), ended, ..Census::default() }, ..TapFacts::default() }
    }

    #[test]
    fn a_capture_vouches_only_if_it_misses_nothing_between_the_snapshots() {
        let whole = facts(9, 22);
        for (facts, vouches) in [
            (whole.clone(), true),
            (facts(11, 22), false),
            (facts(9, 21), false), // the sockets of the later one may have been listed then
            (TapFacts { lost: 1, ..whole.clone() }, false),
            (TapFacts { cut: true, ..whole }, false),
        ] {
            let mut in_vain = tried(&[state(10, 1), state(20, 2)]);
            assert_eq!(in_vain.take(&facts).len(), usize::from(vouches), "{facts:?}");
            assert_eq!(in_vain.untold().count(), usize::from(!vouches), "{facts:?}");
        }
    }

    #[test]
    fn a_session_that_was_seen_was_not_in_vain_on_this_host() {
        let states = [state(10, 1), state(20, 2)];
        let seen = tried(&states).take(&facts(9, 22)).remove(0);
        let mut in_vain = tried(&states);
        in_vain.saw(&seen);
        assert_eq!((in_vain.take(&facts(9, 22)).len(), in_vain.untold().count()), (0, 0));
    }

    #[test]
    fn a_socket_of_three_snapshots_is_one() {
        let mut in_vain = tried(&[state(10, 1), state(20, 2), state(30, 3)]);
        assert!(in_vain.take(&facts(9, 22)).is_empty());
        let views = in_vain.take(&facts(9, 32));
        assert_eq!(views.iter().map(|view| view.began.time).collect::<Vec<_>>(), [Time(10_000_000_000)]);
    }
}
