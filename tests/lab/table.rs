//! The table at the end: right / wide / silent / wrong, a row a view, a column a vantage.

use std::collections::BTreeMap;
use std::fmt;

use crate::degrade::View;
use crate::judge::{Grade, Judged};
use crate::vantage::Vantage;

/// Counts of grades by view, whether places were given, and vantage.
#[derive(Debug, Default)]
pub(crate) struct Table {
    counts: BTreeMap<(View, bool, Vantage, Grade), usize>,
}

impl Table {
    /// Takes one in.
    pub(crate) fn count(&mut self, judged: &Judged) {
        *self.counts.entry((judged.view, !judged.given, judged.vantage, judged.grade)).or_default() += 1;
    }

    /// How many views were judged so.
    pub(crate) fn total(&self, grade: Grade) -> usize {
        self.counts.iter().filter(|(key, _)| key.3 == grade).map(|(_, count)| count).sum()
    }

    fn cell(&self, view: View, inferred: bool, vantage: Vantage) -> String {
        let count = |grade| self.counts.get(&(view, inferred, vantage, grade)).copied().unwrap_or(0);
        format!("{}/{}/{}/{}", count(Grade::Right), count(Grade::Wide), count(Grade::Silent), count(Grade::Wrong))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "right/wide/silent/wrong, by the taps of a view:")?;
        write!(f, "{:19}", "view, places")?;
        Vantage::ALL.iter().try_for_each(|vantage| write!(f, "{:>18}", vantage.heading()))?;
        writeln!(f)?;
        for view in View::ALL {
            for inferred in [false, true] {
                write!(f, "{:19}", format!("{view:?}, {}", if inferred { "inferred" } else { "given" }))?;
                for vantage in Vantage::ALL {
                    write!(f, "{:>18}", self.cell(view, inferred, vantage))?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}
