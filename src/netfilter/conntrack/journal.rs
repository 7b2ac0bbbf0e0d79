//! What the kernel told of the connections of FTP peers, within bounds.

use std::collections::{HashMap, VecDeque};
use std::mem;

use super::{Change, Event, Expected, Pair, Status, Tracked};

/// Pairs of addresses of which something is kept in each of two generations: when one is full, the other goes.
const MAX_PAIRS: usize = 4096;

/// Connections, and expectations, of one pair that are kept; of more, the oldest go, control connections last.
const MAX_OF_PAIR: usize = 256;

/// What the kernel told of those whose addresses are also a control connection's.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    control_ports: Vec<u16>,
    pairs: Pairs,
}

/// What was told of each pair, lately and before that.
#[derive(Clone, Debug, Default)]
struct Pairs {
    recent: HashMap<Pair, Told>,
    older: HashMap<Pair, Told>,
}

/// What was told of a pair, in order of time.
#[derive(Clone, Debug, Default)]
struct Told {
    tracked: VecDeque<Tracked>,
    expected: VecDeque<Expected>,
}

impl Journal {
    /// An empty one. Control connections are those with one of these ports.
    pub fn new(control_ports: Vec<u16>) -> Journal {
        Journal { control_ports, ..Journal::default() }
    }

    /// Takes what the kernel told.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Tracked(tracked) => {
                let is_control = tracked.has_port(&self.control_ports);
                let [asks, answers] = tracked.pairs();
                for pair in [Some(asks), Some(answers).filter(|answers| *answers != asks)].into_iter().flatten() {
                    if let Some(told) = self.pairs.told(pair, is_control) {
                        told.tracked(tracked.clone(), &self.control_ports);
                    }
                }
            }
            Event::Expected(expected) => {
                if let Some(told) = self.pairs.told(expected.master.pair(), false) {
                    told.expected(expected);
                }
            }
        }
    }

    /// Messages were lost: of an expectation, how it ended may be among them.
    pub fn forget_expectations(&mut self) {
        let Pairs { recent, older } = &mut self.pairs;
        recent.values_mut().chain(older.values_mut()).for_each(|told| told.expected.clear());
    }

    /// All that is known of these pairs of addresses, if there is something.
    pub fn of(&self, pairs: &[Pair]) -> Option<(Vec<Tracked>, Vec<Expected>)> {
        let (mut tracked, mut expected) = (Vec::new(), Vec::new());
        let Pairs { recent, older } = &self.pairs;
        for told in pairs.iter().filter_map(|pair| recent.get(pair).or_else(|| older.get(pair))) {
            tracked.extend(told.tracked.iter().cloned());
            expected.extend(told.expected.iter().cloned());
        }
        (!tracked.is_empty()).then_some((tracked, expected))
    }
}

impl Pairs {
    /// Where it is kept what is told of a pair; none if it is of no interest.
    fn told(&mut self, pair: Pair, is_control: bool) -> Option<&mut Told> {
        if !self.recent.contains_key(&pair) {
            let told = self.older.remove(&pair).or_else(|| is_control.then(Told::default))?;
            if self.recent.len() == MAX_PAIRS {
                self.older = mem::take(&mut self.recent);
            }
            self.recent.insert(pair, told);
        }
        self.recent.get_mut(&pair)
    }
}

impl Told {
    fn tracked(&mut self, tracked: Tracked, control_ports: &[u16]) {
        let known = self.tracked.iter_mut().rev().find(|known| known.original == tracked.original);
        match known.filter(|known| tracked.change != Change::New && known.change != Change::Destroy) {
            Some(known) => known.goes_on(tracked),
            None => self.tracked.push_back(tracked),
        }
        if self.tracked.len() > MAX_OF_PAIR {
            let stays = |known: &Tracked| known.has_port(control_ports) && known.change != Change::Destroy;
            let oldest = self.tracked.iter().position(|known| !stays(known)).unwrap_or_default();
            self.tracked.remove(oldest);
        }
    }

    fn expected(&mut self, expected: Expected) {
        let is_it = |known: &Expected| (known.master, known.tuple) == (expected.master, expected.tuple);
        match self.expected.iter_mut().rev().find(|known| is_it(known)).filter(|_| expected.change != Change::New) {
            Some(known) => *known = expected,
            None => self.expected.push_back(expected),
        }
        if self.expected.len() > MAX_OF_PAIR {
            self.expected.pop_front();
        }
    }
}

impl Tracked {
    /// What came later: a message tells only what is new.
    fn goes_on(&mut self, later: Tracked) {
        let Tracked { time, change, state, status, timeout, helper, .. } = later;
        *self = Tracked {
            time,
            change,
            state: state.or(self.state),
            status: Status(self.status.0 | status.0),
            timeout: timeout.or(self.timeout),
            helper: helper.or(self.helper.take()),
            ..self.clone()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::{State, Tuple, pair};
    use super::*;
    use crate::cite::Time;
    use crate::packet::Endpoint;

    const CLIENT: [u8; 4] = [10, 0, 0, 1];
    const SERVER: [u8; 4] = [192, 0, 2, 1];

    fn tuple((source, from): ([u8; 4], u16), (destination, to): ([u8; 4], u16)) -> Tuple {
        let end = |ip: [u8; 4], port| Endpoint { ip: ip.into(), port };
        Tuple { source: end(source, from), destination: end(destination, to) }
    }

    fn tracked(time: i64, change: Change, original: Tuple) -> Tracked {
        let reply = Tuple { source: original.destination, destination: original.source };
        let (state, status) = (Some(State::SynSent), Status::default());
        Tracked { time: Time(time), change, original, reply, state, status, timeout: None, helper: None, master: None }
    }

    fn control(port: u16) -> Tuple {
        tuple((CLIENT, port), (SERVER, 21))
    }

    fn data(port: u16) -> Tuple {
        tuple((SERVER, 20), (CLIENT, port))
    }

    fn known(journal: &Journal) -> Vec<Tracked> {
        journal.of(&[pair(CLIENT.into(), SERVER.into())]).map(|known| known.0).unwrap_or_default()
    }

    #[test]
    fn only_what_runs_between_ftp_peers_is_kept() {
        let mut journal = Journal::new(vec![21]);
        journal.take(Event::Tracked(tracked(1, Change::New, data(50_000))));
        assert_eq!(known(&journal), [], "no control connection was seen");
        journal.take(Event::Tracked(tracked(2, Change::New, control(40_000))));
        journal.take(Event::Tracked(tracked(3, Change::New, data(50_001))));
        journal.take(Event::Tracked(tracked(4, Change::New, tuple((CLIENT, 1), ([192, 0, 2, 2], 80)))));
        let times: Vec<i64> = known(&journal).iter().map(|tracked| tracked.time.0).collect();
        assert_eq!(times, [2, 3]);
    }

    #[test]
    fn what_comes_later_adds_to_what_is_known() {
        let mut journal = Journal::new(vec![21]);
        let begun = Tracked { helper: Some("ftp".to_owned()), ..tracked(1, Change::New, control(40_000)) };
        journal.take(Event::Tracked(begun.clone()));
        let gone = Tracked { state: None, status: Status::SEEN_REPLY, ..tracked(2, Change::Destroy, control(40_000)) };
        journal.take(Event::Tracked(gone));
        let again = tracked(3, Change::New, control(40_000));
        journal.take(Event::Tracked(again.clone()));
        let ended = Tracked { time: Time(2), change: Change::Destroy, status: Status::SEEN_REPLY, ..begun };
        assert_eq!(known(&journal), [ended, again]);
    }

    #[test]
    fn an_expectation_ends_and_is_remembered_unless_messages_were_lost() {
        let mut journal = Journal::new(vec![21]);
        journal.take(Event::Tracked(tracked(1, Change::New, control(40_000))));
        let expected = |time, change| {
            let (master, tuple) = (control(40_000), data(50_000));
            Expected { time: Time(time), change, master, tuple, mask: tuple, timeout: None, helper: None }
        };
        journal.take(Event::Expected(expected(2, Change::New)));
        journal.take(Event::Expected(expected(3, Change::Destroy)));
        let told = |journal: &Journal| journal.of(&[pair(SERVER.into(), CLIENT.into())]).expect("it is known").1;
        assert_eq!(told(&journal), [expected(3, Change::Destroy)]);
        journal.forget_expectations();
        assert_eq!(told(&journal), []);
    }

    #[test]
    fn of_very_many_the_control_connection_stays_and_of_very_many_pairs_the_latest() {
        let mut journal = Journal::new(vec![21]);
        journal.take(Event::Tracked(tracked(1, Change::New, control(40_000))));
        for port in 0..1000 {
            journal.take(Event::Tracked(tracked(2, Change::New, data(50_000 + port))));
        }
        let kept = known(&journal);
        assert_eq!((kept.len(), kept[0].original), (MAX_OF_PAIR, control(40_000)));
        for number in 0..3 * MAX_PAIRS as u32 {
            let client = (0x0a01_0000 + number).to_be_bytes();
            journal.take(Event::Tracked(tracked(3, Change::New, tuple((client, 40_000), (SERVER, 21)))));
        }
        assert!(known(&journal).is_empty());
        assert!(journal.pairs.recent.len() + journal.pairs.older.len() <= 2 * MAX_PAIRS);
    }
}
