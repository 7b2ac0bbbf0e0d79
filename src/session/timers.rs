//! When to look at which session again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::cite::Time;

/// A queue of moments. A session has one entry at a time that counts, told by its stamp; older ones are ignored.
#[derive(Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Time, u32, u32)>>);

impl Timers {
    pub(super) fn set(&mut self, due: Time, slot: u32, stamp: u32) {
        self.0.push(Reverse((due, slot, stamp)));
    }

    /// The next session whose moment would come: slot and stamp.
    pub(super) fn next(&mut self) -> Option<(u32, u32)> {
        self.0.pop().map(|Reverse((_, slot, stamp))| (slot, stamp))
    }

    /// The next session whose moment has come: slot and stamp.
    #[inline]
    pub(super) fn due(&mut self, now: Time) -> Option<(u32, u32)> {
        match self.0.peek() {
            Some(Reverse((due, ..))) if *due <= now => self.next(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_out_in_order_of_time_and_not_early() {
        let mut timers = Timers::default();
        timers.set(Time(20), 2, 0);
        timers.set(Time(10), 1, 0);
        assert_eq!(timers.due(Time(9)), None);
        assert_eq!(timers.due(Time(20)), Some((1, 0)));
        assert_eq!(timers.due(Time(20)), Some((2, 0)));
        assert_eq!(timers.due(Time(20)), None);
    }
}
