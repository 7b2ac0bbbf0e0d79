//! Floor 6: the legs of one capture. What replay and watch share: frames go in, the trackers follow their sessions.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::cite::Time;
use crate::language::counted;
use crate::line::Side;
use crate::packet::{Decoder, Frame, Packet, Undecoded};
use crate::session::tracker::{Config, Leg, Tracker};

/// Link types of captures on all interfaces: LINUX_SLL and LINUX_SLL2.
const COOKED: [u32; 2] = [113, 276];

/// Of these, what tcpdump asks for where it captures on all interfaces, and nowhere else. LINUX_SLL is what libpcap gives to a
/// single interface, too, whose link layer it does not know, such as one of PPP or GRE.
const ALL_INTERFACES: u32 = 276;

/// Different reasons for not decoding a frame that are counted apart.
const MAX_KINDS: usize = 256;

/// The capture was certainly one on all interfaces.
pub(crate) fn is_of_all_interfaces(link_type: u32) -> bool {
    link_type == ALL_INTERFACES
}

/// A capture on all interfaces has two, any other one.
pub(crate) fn legs_of(link_type: u32) -> Vec<Leg> {
    match COOKED.contains(&link_type) {
        true => vec![Leg::Toward(Side::Client), Leg::Toward(Side::Server)],
        false => vec![Leg::Both],
    }
}

/// Follows one capture on each of its legs.
pub(crate) struct Legs {
    decoder: Decoder,
    pub(crate) trackers: Vec<Tracker>,
    undecoded: HashMap<Undecoded, u64, RandomState>,
    /// Frames so far.
    pub(crate) packets: u64,
}

impl Legs {
    /// Legs that have seen nothing.
    pub(crate) fn new(legs: Vec<Leg>, config: &Config) -> Legs {
        let trackers = legs.into_iter().map(|leg| Tracker::new(Config { leg, ..config.clone() })).collect();
        Legs { decoder: Decoder::new(), trackers, undecoded: HashMap::default(), packets: 0 }
    }

    /// It is this time.
    pub(crate) fn advance(&mut self, now: Time) {
        self.trackers.iter_mut().for_each(|tracker| tracker.advance(now));
    }

    /// Takes a frame into account.
    #[inline]
    pub(crate) fn observe(&mut self, frame: &Frame<'_>) {
        self.packets += 1;
        match frame.glance() {
            Some(glance) => {
                for tracker in &mut self.trackers {
                    tracker.advance(frame.at.time);
                    tracker.observe_glance(&glance, frame);
                }
            }
            None => self.observe_decoded(frame),
        }
    }

    /// The same for a frame that a glance does not tell enough of. Apart: measured, the other way is shorter without it.
    #[inline(never)]
    fn observe_decoded(&mut self, frame: &Frame<'_>) {
        let packet = if frame.is_udp() { Packet::Other } else { self.decoder.decode(frame) };
        if let Packet::Undecoded(why) = packet
            && (self.undecoded.len() < MAX_KINDS || self.undecoded.contains_key(&why))
        {
            *self.undecoded.entry(why).or_default() += 1;
        }
        for tracker in &mut self.trackers {
            tracker.advance(frame.at.time);
            tracker.observe(&packet);
        }
    }

    /// What could not be decoded, and how often, in words.
    pub(crate) fn undecoded(&self) -> Vec<String> {
        let count =
            |(why, count): (&Undecoded, &u64)| format!("{} not decoded: {why}", counted!(*count, "frame").english());
        let mut kinds: Vec<String> = self.undecoded.iter().map(count).collect();
        kinds.sort();
        kinds
    }
}
