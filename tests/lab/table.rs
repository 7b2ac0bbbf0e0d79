//! The tables at the end: right / wide / silent / wrong, a row a view, a column a vantage; and of what was said live, a row a
//! host.

use std::collections::BTreeMap;
use std::fmt;

use crate::degrade::View;
use crate::heard::{Heard, Naming, UNTRACED};
use crate::judge::{Grade, Judged};
use crate::line::At;
use crate::live::Manner;
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
        by_grade(|grade| self.counts.get(&(view, inferred, vantage, grade)))
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

/// How many of each grade.
fn by_grade<'a>(count: impl Fn(Grade) -> Option<&'a usize>) -> String {
    let grades = [Grade::Right, Grade::Wide, Grade::Silent, Grade::Wrong];
    grades.map(|grade| count(grade).copied().unwrap_or(0).to_string()).join("/")
}

/// Counts of what was said live.
#[derive(Debug, Default)]
pub(crate) struct LiveTable {
    grades: BTreeMap<(Manner, &'static str, Grade), usize>,
    namings: BTreeMap<(Manner, &'static str, Naming), usize>,
}

impl LiveTable {
    const HOSTS: [&'static str; 3] = ["client", "routers", "server"];

    /// Takes one in.
    pub(crate) fn count(&mut self, heard: &Heard) {
        let host = match heard.at {
            At::Client => "client",
            At::Server => "server",
            _ => "routers",
        };
        *self.grades.entry((heard.manner, host, heard.grade)).or_default() += 1;
        if let Some(naming) = heard.naming {
            *self.namings.entry((heard.manner, host, naming)).or_default() += 1;
        }
    }
}

impl fmt::Display for LiveTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (manner, how) in [(Manner::Traced, "with --trace"), (Manner::Read, "without --trace")] {
            writeln!(f, "said live, {how}; and of drops on that very host, how netfilter named them:")?;
            writeln!(f, "{:9}right/wide/silent/wrong    rule/hook only/nothing", "host")?;
            for host in Self::HOSTS {
                let grades = by_grade(|grade| self.grades.get(&(manner, host, grade)));
                let naming = |naming| self.namings.get(&(manner, host, naming)).copied().unwrap_or(0);
                let namings = [Naming::Rule, Naming::Hook, Naming::Nothing].map(|it| naming(it).to_string());
                writeln!(f, "{host:9}{:23}    {}", grades, namings.join("/"))?;
            }
        }
        write!(f, "in {} the trace may miss the packet, and the hook is enough", UNTRACED.join(" "))
    }
}
