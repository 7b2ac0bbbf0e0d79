//! What ftpwhy counted in a capture, beside what the generator put there.
//!
//! Counts go by the names of the truth (`FILE.truth.json`); whatever ftpwhy names otherwise gets a row of its own and differs.
//! Where the truth of each session is at hand (`--detail`), each is compared, by the client's address and port.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::captures::Capture;
use crate::folder::Folder;
use crate::process::expect;
use crate::rounds::{REPLAYED, replay};
use crate::told::{Detail, Session};

/// Members of the truth that a replay tells, too: numbers, or objects of numbers.
const TOLD: [&str; 9] = [
    "sessions",
    "login_failed",
    "transfers_ok",
    "transfer_payload_bytes",
    "ok_by_command",
    "ok_by_mode",
    "data_failed",
    "failed_by_kind",
    "failed_by_mode",
];

/// The row that counts sessions of which every fact is right.
const ALIKE: &str = "sessions_alike";

/// Sessions that are shown where they differ; more would hide the table.
const EXAMPLES: usize = 5;

type Counts = BTreeMap<String, u64>;

/// The counts of one capture.
pub(crate) struct Tally {
    name: &'static str,
    truth: Counts,
    found: Counts,
    /// A line for each of the first sessions that differ.
    pub(crate) examples: Vec<String>,
}

impl Tally {
    /// Whether every count is right.
    pub(crate) fn is_true(&self) -> bool {
        self.keys().all(|key| self.pair(key).0 == self.pair(key).1)
    }

    fn keys(&self) -> impl Iterator<Item = &String> {
        self.truth.keys().chain(self.found.keys())
    }

    /// Truth and finding.
    fn pair(&self, key: &str) -> (u64, u64) {
        let of = |counts: &Counts| counts.get(key).copied().unwrap_or(0);
        (of(&self.truth), of(&self.found))
    }

    fn cell(&self, key: &str) -> String {
        match self.pair(key) {
            (truth, found) if truth == found => found.to_string(),
            (truth, found) => format!("{found}, not {truth}"),
        }
    }
}

/// A row for each count and a column for each capture.
pub(crate) fn rows(tallies: &[Tally]) -> Vec<Vec<String>> {
    let keys: BTreeSet<&String> = tallies.iter().flat_map(Tally::keys).collect();
    let row = |first: &str, cell: &dyn Fn(&Tally) -> String| {
        std::iter::once(first.to_owned()).chain(tallies.iter().map(cell)).collect()
    };
    let mut rows = vec![row("counts of --format jsonl", &|tally| tally.name.to_owned())];
    rows.extend(keys.into_iter().map(|key| row(key, &|tally| tally.cell(key))));
    rows.push(row("", &|tally| if tally.is_true() { "equal" } else { "different" }.to_owned()));
    rows
}

/// Replays a capture and counts what is told of it.
///
/// # Errors
/// Truth or output that cannot be read, or a replay that fails.
pub(crate) fn compare(folder: &Folder, capture: &'static Capture) -> Result<Tally, Box<dyn Error>> {
    let file = folder.provide(capture)?;
    let mut tally = Tally {
        name: capture.name,
        truth: totals(&serde_json::from_slice(&fs::read(folder.truth(capture))?)?),
        found: Counts::new(),
        examples: Vec::new(),
    };
    let mut expected = details(&folder.detail(capture))?;
    if let Some(expected) = &expected {
        tally.truth.insert(ALIKE.to_owned(), expected.len() as u64);
    }
    each_session(&file, |session| {
        count(&mut tally.found, session);
        if let Some(expected) = &mut expected {
            confront(&mut tally, session, expected.remove(&session.client.to_string()));
        }
    })?;
    let missing = expected.into_iter().flatten().map(|(client, _)| format!("{}: {client} is missing", capture.name));
    tally.examples.extend(missing);
    tally.examples.truncate(EXAMPLES);
    Ok(tally)
}

/// The told members of the truth, those of objects with the object's name before theirs.
fn totals(truth: &Value) -> Counts {
    let flat = |name: &str| match &truth[name] {
        Value::Object(members) => {
            members.iter().map(|(member, value)| (format!("{name}.{member}"), value.clone())).collect()
        }
        value => vec![(name.to_owned(), value.clone())],
    };
    TOLD.into_iter().flat_map(flat).filter_map(|(name, value)| Some((name, value.as_u64()?))).collect()
}

/// Shows every session of a capture to `look`, one at a time.
fn each_session(file: &Path, mut look: impl FnMut(&Session)) -> Result<(), Box<dyn Error>> {
    let mut command = replay(file, "jsonl");
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().expect("standard output was asked for");
    each_line(output, |line| {
        look(&serde_json::from_slice(line)?);
        Ok(())
    })?;
    Ok(expect(&command, child.wait()?, REPLAYED)?)
}

fn each_line(
    from: impl io::Read,
    mut look: impl FnMut(&[u8]) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut from = BufReader::with_capacity(1 << 16, from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        look(&line)?;
        line.clear();
    }
    Ok(())
}

fn count(found: &mut Counts, session: &Session) {
    let mut add = |name: String, number: u64| *found.entry(name).or_insert(0) += number;
    add("sessions".to_owned(), 1);
    add("login_failed".to_owned(), session.login_failed().into());
    for transfer in &session.transfers {
        add("transfer_payload_bytes".to_owned(), transfer.bytes());
        match transfer.outcome {
            "completed" => {
                add("transfers_ok".to_owned(), 1);
                add(format!("ok_by_command.{}", transfer.command()), 1);
                add(format!("ok_by_mode.{}", transfer.mode()), 1);
            }
            "failed" => {
                add("data_failed".to_owned(), 1);
                add(format!("failed_by_kind.{}", transfer.result()), 1);
                add(format!("failed_by_mode.{}", transfer.mode()), 1);
            }
            other => add(format!("transfers.{other}"), 1),
        }
    }
}

/// Compares one session with what it should be.
fn confront(tally: &mut Tally, session: &Session, expected: Option<String>) {
    let found = session.to_string();
    if expected.as_ref() == Some(&found) {
        *tally.found.entry(ALIKE.to_owned()).or_insert(0) += 1;
    } else if tally.examples.len() < EXAMPLES {
        let expected = expected.as_deref().unwrap_or("no such session");
        tally.examples.push(format!("{}: {}\n  found {found}\n  truth {expected}", tally.name, session.client));
    }
}

/// The summary of each session by its client; none without the file.
fn details(file: &Path) -> Result<Option<HashMap<String, String>>, Box<dyn Error>> {
    if !file.exists() {
        return Ok(None);
    }
    let mut sessions = HashMap::new();
    each_line(File::open(file)?, |line| {
        let detail: Detail = serde_json::from_slice(line)?;
        sessions.insert(detail.client().to_string(), detail.to_string());
        Ok(())
    })?;
    Ok(Some(sessions))
}
