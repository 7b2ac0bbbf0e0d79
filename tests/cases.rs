//! Labelled failures: every subset of a case's four taps, with places given (and the captures told to be unfiltered) and
//! with places inferred.
//!
//! The truth must lie inside the stretch that is named, always. With places given the stretch must be the smallest that
//! these taps allow: from the last tap before the truth to the first behind it. Where another world gives the same packets at
//! these taps, it has to hold the truth of that one too: see [`TWINS`].

mod common;
mod shared;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ftpwhy::line::{Place, Point, Stretch};
use ftpwhy::replay::Replay;
use ftpwhy::session::join::Session;
use ftpwhy::verdict::Outcome;
use serde_json::Value;

/// The taps of a case in line order: suffix of the file, and place.
const TAPS: [(&str, Place); 4] =
    [("_c", Place::Client), ("_rc", Place::Between), ("_rs", Place::Between), ("_s", Place::Server)];

/// Control ports of the cases besides 21.
const PORTS: [u16; 5] = [2121, 2122, 2123, 2124, 2126];

/// Case; the taps of which any subset sees the same packets in another world; where the packet is lost there; what happens.
const TWINS: &[(&str, &[usize], Interval, &str)] = &[
    (
        "pasv-private",
        &[2, 3],
        (2, 3),
        "the client calls the control connection's address, and the router drops the SYN",
    ),
    ("pasv-private-helper", &[2, 3], (4, 5), "the client calls the address that the server announces, which is wrong"),
    ("tls-helper", &[2, 3], (0, 5), "what is encrypted asks for no data connection, and nobody is to blame"),
];

/// The same where nobody says that the captures are unfiltered: these files hold nothing but the control connection, as a
/// capture with the filter `port 21` does of any failure.
const BARE: &[(&str, &[usize])] = &[
    ("cli-out-drop", &[0, 1, 2, 3]),
    ("cli-out-reject", &[0, 1, 2, 3]),
    ("act-srv-out-drop", &[0, 1, 2, 3]),
    ("rtr-drop", &[2, 3]),
    ("rtr-reject", &[2, 3]),
    ("rtr-rst", &[2, 3]),
    ("act-rtr-drop", &[0, 1]),
    ("act-rtr-reject", &[0, 1]),
];

/// What the user tells of the captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nothing,
    Places,
    PlacesAndUnfiltered,
}

/// Points of the line by number: 0 the client, 1 to 4 the taps, 5 the server.
type Interval = (usize, usize);

#[test]
fn the_truth_is_inside_the_stretch_and_nothing_narrower_is_possible() {
    let Some(folder) = shared::folder("FTPWHY_CASES", "cases") else { return };
    let truth = fs::read_to_string(folder.join("truth.json")).expect("truth.json is readable");
    let cases: Vec<Value> = serde_json::from_str(&truth).expect("truth.json is JSON");
    assert_eq!(cases.len(), 37);
    let mut tally: BTreeMap<(Told, &str), usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in &cases {
        let id = case["id"].as_str().expect("a case has an id");
        let place = true_place(case["side"].as_str().expect("a case has a side"));
        for taps in common::subsets(TAPS.len()) {
            for told in [Told::Nothing, Told::Places, Told::PlacesAndUnfiltered] {
                let judged = judge_case(&folder, id, &taps, told);
                let grade = grade(id, place, &taps, told, &judged);
                *tally.entry((told, grade)).or_default() += 1;
                if matches!(grade, "wrong" | "too wide" | "no longer wide") {
                    wrong.push(format!("{id} {taps:?} {told:?}: {grade}: {judged:?}"));
                }
            }
        }
    }
    println!("{tally:#?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn true_place(side: &str) -> Option<Interval> {
    match side {
        "client" => Some((0, 1)),
        "path" => Some((2, 3)),
        "server" => Some((4, 5)),
        _ => None,
    }
}

/// What was said of one view of a case.
#[derive(Debug, Default)]
struct Judged {
    /// Every stretch that is named.
    stretches: Vec<Interval>,
    /// A transfer failed, or cannot be said not to have.
    not_completed: bool,
}

fn judge_case(folder: &Path, id: &str, taps: &[usize], told: Told) -> Judged {
    let given = told != Told::Nothing;
    let captures = taps
        .iter()
        .map(|&tap| common::capture(given.then_some(TAPS[tap].1), folder.join(format!("{id}{}.pcap", TAPS[tap].0))))
        .collect();
    let mut judged = Judged::default();
    let unfiltered = told == Told::PlacesAndUnfiltered;
    let what = Replay { unfiltered, ..common::replay_of(captures, &PORTS) };
    common::look_into(&what, |session, judgement, _| {
        judged.not_completed |= judgement.transfers.iter().any(|(outcome, _)| *outcome != Outcome::Completed);
        let stretches = common::stretches(judgement);
        judged.stretches.extend(stretches.map(|stretch| interval(stretch, session, taps)));
    });
    judged
}

fn interval(stretch: Stretch, session: &Session, taps: &[usize]) -> Interval {
    let number = |point| match point {
        Point::Client => 0,
        Point::Tap(sight) => taps[session.sights[sight].tap] + 1,
        Point::Server => 5,
    };
    (number(stretch.from), number(stretch.to))
}

fn grade(id: &str, place: Option<Interval>, taps: &[usize], told: Told, judged: &Judged) -> &'static str {
    let Some(place) = place else {
        return if judged.stretches.is_empty() && !judged.not_completed { "right" } else { "wrong" };
    };
    if judged.stretches.is_empty() || judged.stretches.iter().any(|named| named.0 > place.0 || named.1 < place.1) {
        return "wrong";
    }
    let among = |row: &[usize]| taps.iter().all(|tap| row.contains(tap));
    let twin = TWINS.iter().find(|row| row.0 == id && among(row.1)).map_or(place, |row| row.2);
    let places = (place.0.min(twin.0), place.1.max(twin.1));
    let narrowest = judged.stretches.iter().all(|named| *named == smallest(places, taps));
    let bare = told == Told::Places && BARE.iter().any(|row| row.0 == id && among(row.1));
    match (narrowest, told != Told::Nothing, bare) {
        (true, true, true) => "no longer wide",
        (true, ..) => "right",
        (false, true, false) => "too wide",
        (false, ..) => "wide",
    }
}

fn smallest(place: Interval, taps: &[usize]) -> Interval {
    let numbers = || taps.iter().map(|tap| tap + 1);
    let from = numbers().filter(|&number| number <= place.0).max().unwrap_or(0);
    let to = numbers().filter(|&number| number >= place.1).min().unwrap_or(5);
    (from, to)
}
