//! Failures that are alike are told once: the first in full, the others by their numbers.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::quality::RandomState;

use crate::language::{Text, counted, say};
use crate::line::Side;
use crate::packet::Endpoint;
use crate::report::facts;
use crate::report::words::summary;
use crate::verdict::{Case, Confidence, Mechanism, Verdict};

/// Kinds of failures that are remembered, a few hundred bytes each; what comes beyond is told in full.
const MAX_KINDS: usize = 4096;

/// Runs of numbers that are kept: sessions end in another order than they begin, so gaps may close later.
const MAX_RUNS: usize = 64;

/// Runs of numbers that are shown.
const SHOWN_RUNS: usize = 10;

/// What two failures have in common that are alike: the hosts, what was tried, and what is said about it.
#[derive(PartialEq, Eq, Hash)]
struct Kind {
    client: IpAddr,
    server: Endpoint,
    encrypted: bool,
    what: What,
    /// Who opens the data connection.
    opener: Option<Side>,
    rule: &'static str,
    sentence: Text,
    confidence: Confidence,
}

impl Kind {
    fn of(case: &Case<'_>, verdict: &Verdict) -> Kind {
        let view = case.view();
        let negotiated = case.negotiation().map(|negotiation| !negotiation.mode.listener());
        Kind {
            client: view.client.ip,
            server: view.server,
            encrypted: view.encrypted.is_some(),
            what: What::of(case, verdict),
            opener: negotiated.or(facts::data_connection(case).map(|connection| connection.opener)),
            rule: verdict.rule.id,
            sentence: summary(case, verdict),
            confidence: verdict.finding.confidence,
        }
    }
}

/// What is told of.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Transfer,
    EncryptedSession,
    ControlConnection,
}

impl What {
    fn of(case: &Case<'_>, verdict: &Verdict) -> What {
        match (case.transfer, verdict.finding.mechanism) {
            (Some(_), _) => What::Transfer,
            (None, Mechanism::Encrypted) => What::EncryptedSession,
            (None, _) => What::ControlConnection,
        }
    }

    fn more(self, count: u64) -> Text {
        match self {
            What::Transfer => counted!(count, "more failed transfer"),
            What::EncryptedSession => counted!(count, "more encrypted session"),
            What::ControlConnection => counted!(count, "more failed control connection"),
        }
    }
}

/// The failures of one kind.
struct Group {
    /// The session that tells it in full.
    session: u64,
    /// The transfers of that session; none for its control connection.
    here: Vec<Option<usize>>,
    /// Failures in later sessions.
    later: u64,
    /// Those sessions.
    sessions: Runs,
}

/// All failures so far, by kind.
#[derive(Default)]
pub(super) struct Alike {
    places: HashMap<Kind, usize, RandomState>,
    groups: Vec<Group>,
}

/// How a failure is to be told.
pub(super) enum Telling {
    /// In full.
    Full,
    /// In full, and it stands for further transfers of its session.
    ForAll {
        /// How many.
        more: usize,
        /// Their numbers, from 1.
        numbers: Runs,
    },
    /// One that is alike was told.
    Told,
}

impl Alike {
    /// Takes the failures of one session, and says how each is to be told; the control connection comes first, if it is
    /// one of them.
    pub(super) fn take(&mut self, failures: &[(Case<'_>, &Verdict)]) -> Vec<Telling> {
        let places: Vec<Option<usize>> = failures.iter().map(|(case, verdict)| self.place(case, verdict)).collect();
        let tell = |((case, _), place): (&(Case<'_>, &Verdict), &Option<usize>)| {
            let Some(group) = place.map(|place| &self.groups[place]) else { return Telling::Full };
            if group.session != case.session.number || group.here.first() != Some(&case.transfer) {
                return Telling::Told;
            }
            let others = &group.here[1..];
            if others.is_empty() {
                return Telling::Full;
            }
            let mut numbers = Runs::default();
            others.iter().flatten().for_each(|index| numbers.add(*index as u64 + 1));
            Telling::ForAll { more: others.len(), numbers }
        };
        let telling = failures.iter().zip(&places).map(tell).collect();
        places.into_iter().flatten().for_each(|place| self.groups[place].here = Vec::new());
        telling
    }

    /// Puts a failure to its like; none if it is of a new kind, and there are too many.
    fn place(&mut self, case: &Case<'_>, verdict: &Verdict) -> Option<usize> {
        let kind = Kind::of(case, verdict);
        let number = case.session.number;
        let known = self.places.get(&kind).copied();
        if known.is_none() && self.groups.len() == MAX_KINDS {
            return None;
        }
        let place = known.unwrap_or_else(|| {
            let group = Group { session: number, here: Vec::new(), later: 0, sessions: Runs::default() };
            self.groups.push(group);
            self.places.insert(kind, self.groups.len() - 1);
            self.groups.len() - 1
        });
        let group = &mut self.groups[place];
        if group.session == number {
            group.here.push(case.transfer);
        } else {
            group.later += 1;
            group.sessions.add(number);
        }
        Some(place)
    }

    /// What is to be said at the end of the failures that were not told.
    pub(super) fn lines(&self) -> Vec<Text> {
        let mut places: Vec<(&Kind, &Group)> = self
            .places
            .iter()
            .map(|(kind, &place)| (kind, &self.groups[place]))
            .filter(|(_, group)| group.later > 0)
            .collect();
        places.sort_by_key(|(kind, group)| (group.session, kind.rule));
        places.into_iter().map(|(kind, group)| line(kind, group)).collect()
    }
}

fn line(kind: &Kind, group: &Group) -> Text {
    say!(
        "{ends}: {more}, as in session {first} ({rule}), in sessions {sessions}; --session N shows one",
        ends = format!("{} -> {}", kind.client, kind.server.ip),
        more = kind.what.more(group.later),
        first = group.session,
        rule = kind.rule,
        sessions = group.sessions.listed("")
    )
}

/// A set of numbers, as people list them: `2, 4-9`; beyond [`SHOWN_RUNS`] runs there is only a hint of more.
#[derive(Default)]
pub(super) struct Runs {
    /// First and last number of each run, rising, with gaps between.
    runs: Vec<(u64, u64)>,
    cut: bool,
}

impl Runs {
    fn add(&mut self, number: u64) {
        let at = self.runs.partition_point(|(_, last)| *last < number);
        let follows = at > 0 && self.runs[at - 1].1 + 1 == number;
        match self.runs.get(at).copied() {
            Some((first, _)) if first <= number => {}
            Some((first, last)) if first == number + 1 && follows => {
                self.runs[at - 1].1 = last;
                self.runs.remove(at);
            }
            Some((first, _)) if first == number + 1 => self.runs[at].0 = number,
            _ if follows => self.runs[at - 1].1 = number,
            _ if self.runs.len() == MAX_RUNS => self.cut = true,
            _ => self.runs.insert(at, (number, number)),
        }
    }

    /// The numbers, each with this mark before it.
    pub(super) fn listed(&self, mark: &str) -> String {
        let run = |(first, last): &(u64, u64)| match last - first {
            0 => format!("{mark}{first}"),
            1 => format!("{mark}{first}, {mark}{last}"),
            _ => format!("{mark}{first}-{mark}{last}"),
        };
        let more = self.cut || self.runs.len() > SHOWN_RUNS;
        let shown = self.runs.iter().take(SHOWN_RUNS).map(run).chain(more.then(|| "...".to_owned()));
        shown.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn runs(numbers: impl IntoIterator<Item = u64>) -> String {
        let mut runs = Runs::default();
        numbers.into_iter().for_each(|number| runs.add(number));
        runs.listed("")
    }

    #[test]
    fn numbers_are_listed_in_runs() {
        assert_eq!(runs([2]), "2");
        assert_eq!(Runs { runs: vec![(2, 2), (4, 5), (7, 9)], cut: true }.listed("#"), "#2, #4, #5, #7-#9, ...");
        assert_eq!(runs([2, 3, 5, 7, 8, 9]), "2, 3, 5, 7-9");
        assert_eq!(runs([4, 4, 5, 5, 6]), "4-6");
        assert_eq!(runs([9, 3, 1, 8, 2, 9]), "1-3, 8, 9");
        assert_eq!(runs((1..50).map(|number| 2 * number)), "2, 4, 6, 8, 10, 12, 14, 16, 18, 20, ...");
    }

    proptest! {
        #[test]
        fn a_set_is_the_same_in_whatever_order_it_comes(numbers in prop::collection::vec(0u64..40, 0..40)) {
            let sorted: BTreeSet<u64> = numbers.iter().copied().collect();
            prop_assert_eq!(runs(numbers), runs(sorted));
        }
    }
}
