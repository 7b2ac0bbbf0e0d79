//! Control connections that a host tried to open in vain, as two of its snapshots tell, beside a capture that has nothing of them.

use crate::cite::{At, Time};
use crate::legs::Legs;
use crate::netfilter::snapshot::Snapshot;
use crate::netfilter::socket::Socket;

/// A socket that went on trying from one snapshot to the next.
struct Tried {
    since: Time,
    until: Time,
    socket: Socket,
}

/// What is still to be told of, and what cannot be.
#[derive(Default)]
pub(super) struct InVain {
    /// The earliest last.
    next: Vec<Tried>,
    /// The capture would show any try that left.
    sees_all: bool,
    untold: Vec<Socket>,
}

impl InVain {
    /// What these snapshots tell, the earliest of them first, beside a capture that `sees_all` or may miss some.
    pub(super) fn new(states: &[Snapshot], control_ports: &[u16], sees_all: bool) -> InVain {
        let between = |pair: &[Snapshot]| {
            let [earlier, later] = pair else { return Vec::new() };
            let tried = |socket| Tried { since: earlier.time, until: later.time, socket };
            later.trying_since(earlier, control_ports).map(tried).collect()
        };
        InVain { next: states.windows(2).rev().flat_map(between).collect(), sees_all, untold: Vec::new() }
    }

    /// Makes sessions of what was tried before `now`, if the capture ran meanwhile.
    #[inline]
    pub(super) fn tell(&mut self, legs: &mut Legs, now: Time) {
        if self.next.last().is_some_and(|next| next.until < now) {
            self.tell_next(legs, now);
        }
    }

    #[cold]
    fn tell_next(&mut self, legs: &mut Legs, now: Time) {
        while let Some(Tried { since, socket, .. }) = self.next.pop_if(|next| next.until < now) {
            let began = legs.trackers[0].census().began;
            match self.sees_all && began.is_some_and(|began| began <= since) {
                true => legs.tried(&socket, At { time: since, ..At::default() }),
                false => self.doubt(legs, socket),
            }
        }
    }

    /// The capture has ended.
    pub(super) fn end(&mut self, legs: &Legs) {
        std::mem::take(&mut self.next).into_iter().for_each(|tried| self.doubt(legs, tried.socket));
    }

    fn doubt(&mut self, legs: &Legs, socket: Socket) {
        let same = |other: &Socket| (other.local, other.remote) == (socket.local, socket.remote);
        if !legs.follows(&socket) && !self.untold.iter().any(same) {
            self.untold.push(socket);
        }
    }

    /// What cannot be told, why, and what would tell it.
    pub(super) fn untold(&self) -> impl Iterator<Item = String> {
        self.untold.iter().map(|Socket { local, remote, .. }| {
            format!(
                "the socket {local} > {remote} sent its SYN again between two snapshots, and none is here; to know \
                 whether one left, capture on all interfaces without a filter (tcpdump -i any) from before the first \
                 snapshot to after the second, and say --unfiltered"
            )
        })
    }
}
