//! What captures are looked at together: every set of taps; every set of hosts captured on all their interfaces; hosts with
//! their loopback; the second server.

use std::fmt;

use ftpwhy::line::Place;

use crate::common;
use crate::common::place;
use crate::line::{At, Line};
use crate::trial::{OTHER, loopback};

/// One capture: what the user names as one, though it may be several files.
#[derive(Clone, Debug)]
pub(crate) struct Eye {
    pub(crate) place: Place,
    pub(crate) files: Vec<String>,
    /// Its taps, by position on the line.
    pub(crate) taps: Vec<usize>,
}

/// What kind of captures a set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Interfaces on the line.
    Taps,
    /// All interfaces of hosts.
    Wholes,
    /// Both ends with their loopbacks.
    Loopbacks,
    /// What lies aside of the line too, or nothing that lies on it: nothing narrow can be asked for.
    Aside,
}

/// Captures that are looked at together, in line order.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    pub(crate) sort: Sort,
    pub(crate) eyes: Vec<Eye>,
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let eyes: Vec<String> = self.eyes.iter().map(|eye| eye.files.join("+").replace(".pcap", "")).collect();
        f.write_str(&eyes.join(" "))
    }
}

impl Set {
    /// The taps that it covers.
    pub(crate) fn taps(&self) -> Vec<usize> {
        self.eyes.iter().flat_map(|eye| eye.taps.iter().copied()).collect()
    }

    /// The column of the table that it is counted in.
    pub(crate) fn vantage(&self) -> Vantage {
        let has = |place| self.eyes.iter().any(|eye| eye.place == place);
        match self.sort {
            Sort::Taps => {
                Vantage::Taps { client: has(Place::Client), between: has(Place::Between), server: has(Place::Server) }
            }
            Sort::Wholes => Vantage::Wholes,
            Sort::Loopbacks => Vantage::Loopbacks,
            Sort::Aside => Vantage::Aside,
        }
    }
}

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Vantage {
    /// Interfaces of these hosts.
    Taps { client: bool, between: bool, server: bool },
    /// All interfaces of hosts.
    Wholes,
    /// Hosts with their loopbacks.
    Loopbacks,
    /// The second server too.
    Aside,
}

impl Vantage {
    /// All there are.
    pub(crate) const ALL: [Vantage; 10] = [
        Vantage::Taps { client: true, between: false, server: false },
        Vantage::Taps { client: false, between: false, server: true },
        Vantage::Taps { client: false, between: true, server: false },
        Vantage::Taps { client: true, between: false, server: true },
        Vantage::Taps { client: true, between: true, server: false },
        Vantage::Taps { client: false, between: true, server: true },
        Vantage::Taps { client: true, between: true, server: true },
        Vantage::Wholes,
        Vantage::Loopbacks,
        Vantage::Aside,
    ];

    /// What stands above its column.
    pub(crate) fn heading(self) -> String {
        let Vantage::Taps { client, between, server } = self else {
            return format!("{self:?}").to_lowercase().replace("wholes", "hosts' any").replace("loopbacks", "ends+lo");
        };
        let words = [(client, "client"), (between, "routers"), (server, "server")];
        let words: Vec<&str> = words.into_iter().filter_map(|(is, word)| is.then_some(word)).collect();
        if words.len() == 3 { "all three".to_owned() } else { words.join("+") }
    }
}

/// Every set of a line.
pub(crate) fn sets(line: Line, completed: bool) -> Vec<Set> {
    let taps = line.taps();
    let tap =
        |number: usize| Eye { place: place(&taps[number]), files: vec![taps[number].clone()], taps: vec![number] };
    let whole = |number: usize| {
        let whole = line.wholes().swap_remove(number);
        Eye { place: place(&whole.name), files: vec![whole.name], taps: whole.taps }
    };
    let ends = [(At::Client, 0), (At::Server, taps.len() - 1)].map(|(at, number)| {
        let eye = tap(number);
        Eye { files: vec![eye.files[0].clone(), loopback(at)], ..eye }
    });
    let of = |sort, eyes| Set { sort, eyes };
    let mut sets = Vec::new();
    sets.extend(common::subsets(taps.len()).map(|subset| of(Sort::Taps, subset.into_iter().map(tap).collect())));
    sets.extend(
        common::subsets(line.wholes().len()).map(|subset| of(Sort::Wholes, subset.into_iter().map(whole).collect())),
    );
    sets.extend(common::subsets(2).map(|subset| {
        let eyes = subset.into_iter().map(|end| ends[end].clone()).collect();
        of(Sort::Loopbacks, eyes)
    }));
    let between = (1..taps.len() - 1).map(tap);
    let [client, server] = ends;
    sets.push(of(Sort::Loopbacks, [client.clone()].into_iter().chain(between).chain([server.clone()]).collect()));
    let bare = |eye: &Eye| Eye { files: vec![eye.files[1].clone()], ..eye.clone() };
    sets.push(of(Sort::Aside, vec![bare(&client)]));
    sets.push(of(Sort::Aside, vec![bare(&client), bare(&server)]));
    // What the second server sees of a failure is on another line.
    if line.other && completed {
        let other = Eye { files: vec![OTHER.to_owned()], ..server };
        sets.push(of(Sort::Aside, vec![other.clone()]));
        sets.push(of(Sort::Aside, vec![tap(0), other.clone()]));
        sets.push(of(Sort::Aside, vec![tap(0), tap(1), other]));
    }
    sets
}

/// Every file of a line, with the number of the host whose clock it has.
pub(crate) fn files(line: Line) -> Vec<(String, usize)> {
    let taps = line.taps();
    let last = taps.len() - 1;
    let mut files: Vec<(String, usize)> = taps.into_iter().enumerate().map(|(tap, name)| (name, tap)).collect();
    files.extend(line.wholes().into_iter().map(|whole| (whole.name, whole.taps[0])));
    files.extend([(loopback(At::Client), 0), (loopback(At::Server), last)]);
    files.extend(line.other.then(|| (OTHER.to_owned(), last)));
    files
}
