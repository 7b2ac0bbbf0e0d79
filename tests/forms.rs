//! The forms for other programs over all captures of the repository: whole, true to `case.json`, and as their specifications
//! say.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Folders below this number mean that the captures were not found.
const CASES: usize = 50;

/// Words of the passwords that were typed when the captures were made.
const PASSWORDS: [&str; 2] = ["secret", "lab@"];

/// Fields of the Elastic Common Schema 8.11 (its `generated/csv/fields.csv`) with their types; `[]`: an array, as the schema
/// normalizes it.
const ECS: &[(&str, &str)] = &[
    ("@timestamp", "date"),
    ("client.ip", "ip"),
    ("client.port", "long"),
    ("destination.bytes", "long"),
    ("destination.ip", "ip"),
    ("destination.port", "long"),
    ("ecs.version", "keyword"),
    ("event.action", "keyword"),
    ("event.category", "keyword[]"),
    ("event.dataset", "keyword"),
    ("event.duration", "long"),
    ("event.end", "date"),
    ("event.kind", "keyword"),
    ("event.module", "keyword"),
    ("event.outcome", "keyword"),
    ("event.reason", "keyword"),
    ("event.start", "date"),
    ("event.type", "keyword[]"),
    ("file.name", "keyword"),
    ("network.bytes", "long"),
    ("network.protocol", "keyword"),
    ("network.transport", "keyword"),
    ("network.type", "keyword"),
    ("observer.product", "keyword"),
    ("observer.type", "keyword"),
    ("observer.version", "keyword"),
    ("related.ip", "ip[]"),
    ("related.user", "keyword[]"),
    ("rule.id", "keyword"),
    ("rule.name", "keyword"),
    ("server.ip", "ip"),
    ("server.port", "long"),
    ("source.bytes", "long"),
    ("source.ip", "ip"),
    ("source.port", "long"),
    ("user.name", "keyword"),
];

/// The values that the schema allows in its categorization fields, of those with the category `network`.
const CATEGORIES: &[(&str, &[&str])] = &[
    ("event.kind", &["alert", "asset", "enrichment", "event", "metric", "state", "pipeline_error", "signal"]),
    ("event.category", &["network"]),
    ("event.type", &["access", "allowed", "connection", "denied", "end", "info", "protocol", "start"]),
    ("event.outcome", &["failure", "success", "unknown"]),
];

struct Case {
    folder: PathBuf,
    facts: Value,
}

fn cases() -> Vec<Case> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let entries = fs::read_dir(captures).expect("captures/ is there").flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(folders.len() >= CASES, "only {} cases", folders.len());
    let read = |folder: PathBuf| {
        let text = fs::read_to_string(folder.join("case.json")).expect("a folder has its case.json");
        Case { facts: text.parse().expect("case.json is JSON"), folder }
    };
    folders.into_iter().map(read).collect()
}

impl Case {
    fn name(&self) -> String {
        self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn truth(&self, what: &str) -> Option<&str> {
        self.facts["truth"][what].as_str()
    }

    /// What the program prints, without any password.
    fn run(&self, arguments: &[&str]) -> String {
        let texts = |what: &str| self.facts[what].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ftpwhy"));
        command.current_dir(&self.folder).args(arguments);
        command.args(texts("options").filter(|option| *option != "--all"));
        texts("taps").for_each(|tap| _ = command.args([common::option(tap), tap]));
        texts("states").for_each(|state| _ = command.args([&common::state_option(state), state]));
        let output = command.output().expect("the program runs");
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}: {output:?}", self.name());
        let report = String::from_utf8(output.stdout).expect("a report is UTF-8");
        let told = PASSWORDS.iter().find(|password| report.contains(*password));
        assert_eq!(told, None, "{} {arguments:?}: a password is told", self.name());
        report
    }
}

/// The form of sessions, which other tests hold to its schema and to the truth.
fn sessions(case: &Case) -> Vec<Value> {
    let lines = case.run(&["replay", "--format", "jsonl"]);
    lines.lines().map(|line| line.parse().expect("a line is JSON")).collect()
}

#[test]
fn a_line_of_the_table_is_a_transfer_or_a_control_connection_that_failed() {
    for case in cases() {
        let table = case.run(&["replay", "--format", "csv"]);
        assert_eq!(table.matches('\n').count(), table.matches("\r\n").count(), "{}: line ends", case.name());
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let rows: Vec<BTreeMap<String, String>> =
            reader.deserialize().collect::<Result<_, _>>().expect("every record has all columns");
        let sessions = sessions(&case);
        let transfers = sessions.iter().flat_map(|session| session["transfers"].as_array().into_iter().flatten());
        let of_transfers: Vec<_> = rows.iter().filter(|row| !row["transfer"].is_empty()).collect();
        assert_eq!(of_transfers.len(), transfers.clone().count(), "{}", case.name());
        for (row, transfer) in of_transfers.iter().zip(transfers) {
            for (column, field) in [
                ("outcome", "/outcome"),
                ("command", "/command"),
                ("argument", "/argument"),
                ("mode", "/mode"),
                ("rule", "/diagnosis/rule"),
                ("name", "/diagnosis/name"),
                ("side", "/diagnosis/side"),
                ("mechanism", "/diagnosis/mechanism"),
                ("confidence", "/diagnosis/confidence"),
                ("summary", "/diagnosis/summary"),
            ] {
                let value = transfer.pointer(field).and_then(Value::as_str).unwrap_or_default();
                assert_eq!(row[column], value, "{}: {column}", case.name());
            }
            for (column, field) in [("bytes_to_server", "bytes_to_server"), ("bytes_to_client", "bytes_to_client")] {
                let value = transfer["data_connection"][field].as_u64().map(|bytes| bytes.to_string());
                assert_eq!(row[column], value.unwrap_or_default(), "{}: {column}", case.name());
            }
        }
        if case.truth("outcome") == Some("failed") && case.truth("rule") != Some("V8") {
            let told = rows.iter().any(|row| case.truth("rule") == Some(&row["rule"]));
            assert!(told, "{}: {:?} has no line", case.name(), case.truth("rule"));
        }
    }
}

#[test]
fn a_table_without_sessions_has_its_head() {
    let trace = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty.pcap");
    // pcap-savefile(5): magic number, version 2.4, snapshot length 65535, Ethernet.
    let head = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, 1].map(u32::to_le_bytes).concat();
    fs::write(&trace, head).expect("the folder for tests is writable");
    let output = Command::new(env!("CARGO_BIN_EXE_ftpwhy"))
        .args(["replay", "--format", "csv"])
        .arg(&trace)
        .output()
        .expect("the program runs");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.starts_with("session,transfer,began,client,server,control_port,user,"), "{table}");
    assert_eq!(table.lines().count(), 1);
}

#[test]
fn events_have_the_names_and_types_of_the_elastic_common_schema() {
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for case in cases() {
        let lines = case.run(&["replay", "--format", "ecs"]);
        let transfers: usize = sessions(&case).iter().filter_map(|one| Some(one["transfers"].as_array()?.len())).sum();
        let events: Vec<Value> = lines.lines().map(|line| line.parse().expect("a line is JSON")).collect();
        let of_transfers = events.iter().filter(|event| event["event"]["dataset"] == "ftpwhy.transfer").count();
        assert_eq!(of_transfers, transfers, "{}", case.name());
        for event in &events {
            let mut fields = BTreeMap::new();
            flatten(String::new(), event, &mut fields);
            for (field, value) in fields.iter().filter(|(field, _)| !field.starts_with("ftpwhy.")) {
                let kind = ECS.iter().find(|(name, _)| name == field).map(|(_, kind)| *kind);
                let kind = kind.unwrap_or_else(|| panic!("{}: {field} is not in the schema", case.name()));
                assert!(is_of(kind, value), "{}: {field} is {value}, not {kind}", case.name());
                *known.entry(field.clone()).or_default() += 1;
            }
            for (field, allowed) in CATEGORIES {
                let value = &fields[*field];
                let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
                let are_allowed = values.iter().all(|value| value.as_str().is_some_and(|word| allowed.contains(&word)));
                assert!(are_allowed, "{}: {field} is {value}", case.name());
            }
            for field in ["@timestamp", "ecs.version", "event.start", "event.end", "source.ip", "destination.ip"] {
                assert!(fields.contains_key(field), "{}: {field} is missing", case.name());
            }
            assert!(
                text(&fields["event.start"]) <= text(&fields["event.end"]),
                "{}: it ends before it begins",
                case.name()
            );
        }
        let failed = case.truth("outcome") == Some("failed") && case.truth("rule") != Some("V8");
        let told = events.iter().find(|event| event["rule"]["id"].as_str() == case.truth("rule"));
        if let Some(told) = told.filter(|_| failed) {
            assert_eq!(told["event"]["outcome"], "failure", "{}", case.name());
        }
        assert!(told.is_some() || !failed, "{}: no event tells {:?}", case.name(), case.truth("rule"));
    }
    let unused: Vec<_> = ECS.iter().filter(|(field, _)| !known.contains_key(*field)).collect();
    assert!(unused.is_empty(), "no capture has {unused:?}");
}

/// The values of an object by their full names.
fn flatten(name: String, value: &Value, fields: &mut BTreeMap<String, Value>) {
    match value.as_object() {
        Some(object) => object.iter().for_each(|(inner, value)| {
            let name = if name.is_empty() { inner.clone() } else { format!("{name}.{inner}") };
            flatten(name, value, fields);
        }),
        None => drop(fields.insert(name, value.clone())),
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "keyword" => value.is_string(),
        "long" => value.is_i64() || value.is_u64(),
        "ip" => value.as_str().is_some_and(|ip| ip.parse::<IpAddr>().is_ok()),
        "date" => value.as_str().is_some_and(|date| date.parse::<jiff::Timestamp>().is_ok()),
        _ => {
            let kind = kind.strip_suffix("[]").expect("a type of the list above");
            value.as_array().is_some_and(|values| values.iter().all(|value| is_of(kind, value)))
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn a_ticket_tells_what_people_are_told() {
    for case in cases() {
        for lang in ["en", "ja"] {
            let ticket = case.run(&["replay", "--format", "markdown", "--all", "--timeline", "--lang", lang]);
            let report = case.run(&["replay", "--all", "--timeline", "--lang", lang]);
            let sections = ticket.lines().filter(|line| line.starts_with("## ")).count();
            let blocks =
                report.lines().filter(|line| ["✗ ", "✓ ", "- ", "… ", "? "].iter().any(|mark| line.starts_with(mark)));
            assert_eq!(sections, blocks.count(), "{}: {ticket}", case.name());
            let last = report.lines().last().expect("a report has a summary").replace(['(', ')'], "");
            assert!(
                ticket.replace(['(', ')', '\\'], "").contains(&last.replace('\\', "")),
                "{}: {ticket}",
                case.name()
            );
        }
    }
}

#[test]
fn statistics_count_what_the_sessions_hold() {
    for case in cases() {
        let counts: Value = case.run(&["stats", "--format", "json"]).parse().expect("the counts are JSON");
        let sessions = sessions(&case);
        let transfers: Vec<&Value> =
            sessions.iter().flat_map(|session| session["transfers"].as_array().into_iter().flatten()).collect();
        assert_eq!(counts["sessions"], sessions.len(), "{}", case.name());
        assert_eq!(counts["transfers"], transfers.len(), "{}", case.name());
        for outcome in ["completed", "failed", "aborted", "unfinished", "unknown"] {
            let count = transfers.iter().filter(|transfer| transfer["outcome"] == outcome).count();
            assert_eq!(counts["outcomes"][outcome], count, "{}: {outcome}", case.name());
        }
        let rules = counts["rules"].as_array().into_iter().flatten();
        let failures: u64 = rules.filter_map(|rule| rule["failures"].as_u64()).sum();
        let sides = counts["sides"].as_object().into_iter().flatten();
        assert_eq!(failures, sides.filter_map(|(_, count)| count.as_u64()).sum::<u64>(), "{}", case.name());
    }
}
