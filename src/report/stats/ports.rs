//! Ranges of ports that fared alike.

/// Rows that a reader takes in at a glance.
const MAX_RANGES: usize = 16;

/// Widths of the bins that ports fall into, rising; the last one holds all of them.
const WIDTHS: [u32; 15] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 65_536];

/// What became of data connections to one or several ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Openings {
    pub(super) worked: u64,
    pub(super) failed: u64,
}

impl Openings {
    pub(super) fn add(&mut self, worked: bool) {
        if worked { self.worked += 1 } else { self.failed += 1 }
    }

    pub(super) fn tried(self) -> u64 {
        self.worked + self.failed
    }

    fn fate(self) -> (bool, bool) {
        (self.worked > 0, self.failed > 0)
    }

    fn join(&mut self, other: Openings) {
        self.worked += other.worked;
        self.failed += other.failed;
    }
}

/// Neighbouring ports, of which all worked, all failed, or some did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// The lowest that was tried.
    pub(super) first: u16,
    /// The highest that was tried.
    pub(super) last: u16,
    pub(super) openings: Openings,
}

/// The ranges of these ports, which rise: as fine as they can be without being too many.
pub(super) fn ranges(ports: &[(u16, Openings)]) -> Vec<Range> {
    let by_width = WIDTHS.iter().map(|&width| merged(&bins(ports, width)));
    by_width.into_iter().find(|ranges| ranges.len() <= MAX_RANGES).unwrap_or_default()
}

/// Ports that fall into one bin of this width.
fn bins(ports: &[(u16, Openings)], width: u32) -> Vec<Range> {
    let bins = ports.chunk_by(|(one, _), (next, _)| u32::from(*one) / width == u32::from(*next) / width);
    let range = |(port, openings): &(u16, Openings)| Range { first: *port, last: *port, openings: *openings };
    bins.filter_map(|bin| bin.iter().map(range).reduce(joined)).collect()
}

/// Neighbours that fared alike are one.
fn merged(bins: &[Range]) -> Vec<Range> {
    let alike = bins.chunk_by(|one, next| one.openings.fate() == next.openings.fate());
    alike.filter_map(|bins| bins.iter().copied().reduce(joined)).collect()
}

fn joined(mut one: Range, next: Range) -> Range {
    one.last = next.last;
    one.openings.join(next.openings);
    one
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn port(port: u16, worked: u64, failed: u64) -> (u16, Openings) {
        (port, Openings { worked, failed })
    }

    #[test]
    fn a_range_that_is_open_in_part_has_its_edge_where_it_is() {
        let ports: Vec<_> =
            (50000..50200).map(|number| port(number, u64::from(number < 50100), u64::from(number >= 50100))).collect();
        assert_eq!(
            ranges(&ports),
            [
                Range { first: 50000, last: 50099, openings: Openings { worked: 100, failed: 0 } },
                Range { first: 50100, last: 50199, openings: Openings { worked: 0, failed: 100 } },
            ]
        );
    }

    #[test]
    fn ports_without_a_pattern_fall_into_few_bins() {
        let ports: Vec<_> = (50000..50100).map(|number| port(number, u64::from(number % 2), 1)).collect();
        let found = ranges(&ports);
        assert_eq!(found, [Range { first: 50000, last: 50099, openings: Openings { worked: 50, failed: 100 } }]);
    }

    proptest! {
        #[test]
        fn every_opening_is_in_one_range(tried in prop::collection::btree_map(any::<u16>(), (0u64..3, 0u64..3), 0..200)) {
            let ports: Vec<_> = tried.iter().map(|(number, (worked, failed))| port(*number, *worked, *failed)).collect();
            let found = ranges(&ports);
            prop_assert!(found.len() <= MAX_RANGES);
            prop_assert!(found.windows(2).all(|pair| pair[0].last < pair[1].first));
            for range in &found {
                let of_range = tried.range(range.first..=range.last);
                let sum = of_range.fold((0, 0), |sum, (_, tried)| (sum.0 + tried.0, sum.1 + tried.1));
                prop_assert_eq!((range.openings.worked, range.openings.failed), sum);
            }
            let within = |number: &u16| found.iter().any(|range| (range.first..=range.last).contains(number));
            prop_assert!(tried.keys().all(within));
        }
    }
}
