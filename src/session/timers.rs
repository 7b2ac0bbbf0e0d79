//! When to look at which session again.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::cite::Time;

/// A moment, the slot of a session, and its stamp.
type Entry = (Time, u32, u32);

/// A queue of moments. A session has one entry at a time that counts, told by its stamp; older ones are ignored.
///
/// Sessions wait for one of a few times, so almost all moments come in as many rising runs, and a run needs no sorting.
#[derive(Default)]
pub(super) struct Timers {
    runs: [VecDeque<Entry>; 4],
    /// What fits no run.
    others: BinaryHeap<Reverse<Entry>>,
    /// The first of all.
    first: Option<Entry>,
}

impl Timers {
    pub(super) fn set(&mut self, due: Time, slot: u32, stamp: u32) {
        let entry = (due, slot, stamp);
        let fitting = self.runs.iter_mut().filter(|run| run.back().is_none_or(|last| *last <= entry));
        match fitting.max_by_key(|run| run.back().copied()) {
            Some(run) => run.push_back(entry),
            None => self.others.push(Reverse(entry)),
        }
        self.first = Some(self.first.map_or(entry, |first| first.min(entry)));
    }

    /// The next session whose moment would come: slot and stamp.
    pub(super) fn next(&mut self) -> Option<(u32, u32)> {
        let first = self.first?;
        match self.runs.iter_mut().find(|run| run.front() == Some(&first)) {
            Some(run) => run.pop_front(),
            None => self.others.pop().map(|Reverse(entry)| entry),
        };
        let heads = self.runs.iter().filter_map(VecDeque::front);
        self.first = heads.chain(self.others.peek().map(|Reverse(entry)| entry)).min().copied();
        Some((first.1, first.2))
    }

    /// The next session whose moment has come: slot and stamp.
    pub(super) fn due(&mut self, now: Time) -> Option<(u32, u32)> {
        if self.is_due(now) { self.next() } else { None }
    }

    /// Whether [`Timers::due`] has something.
    #[inline]
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.first.is_some_and(|(due, ..)| due <= now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn any_order_of_setting_gives_the_order_of_time(
            dues in prop::collection::vec(0_i64..30, 0..40),
            early in 0_usize..40,
        ) {
            let mut timers = Timers::default();
            let mut entries: Vec<Entry> = (0..).zip(&dues).map(|(slot, &due)| (Time(due), slot, 0)).collect();
            let (first, later) = entries.split_at(early.min(dues.len()));
            first.iter().for_each(|&(due, slot, stamp)| timers.set(due, slot, stamp));
            let taken: Vec<u32> = std::iter::from_fn(|| timers.due(Time(10))).map(|(slot, _)| slot).collect();
            let mut due: Vec<Entry> = first.iter().copied().filter(|entry| entry.0 <= Time(10)).collect();
            due.sort_unstable();
            prop_assert_eq!(&taken, &due.iter().map(|entry| entry.1).collect::<Vec<_>>());
            later.iter().for_each(|&(due, slot, stamp)| timers.set(due, slot, stamp));
            entries.retain(|entry| !due.contains(entry));
            entries.sort_unstable();
            let rest: Vec<u32> = std::iter::from_fn(|| timers.next()).map(|(slot, _)| slot).collect();
            prop_assert_eq!(rest, entries.iter().map(|entry| entry.1).collect::<Vec<_>>());
        }
    }
}
