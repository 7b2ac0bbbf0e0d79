//! The JSON form against its schema (`docs/session.schema.json`), by an independent validator, and `docs/json.md` against
//! the schema.
//!
//! `FTPWHY_BLESS=1 cargo test --test schema` writes the tables of `docs/json.md` anew.

mod common;
mod labelled;
mod shared;

use std::fs;
use std::path::{Path, PathBuf};

use ftpwhy::line::Place;
use ftpwhy::replay::Capture;
use ftpwhy::report::{Format, Options, Reporter};
use jsonschema::Validator;
use serde_json::Value;

/// Fewer sessions than this mean that the captures were not found.
const SESSIONS: usize = 250;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

fn schema() -> Value {
    let text = fs::read_to_string(path("session.schema.json")).expect("the schema is there");
    serde_json::from_str(&text).expect("the schema is JSON")
}

fn validator() -> Validator {
    let schema = schema();
    assert!(jsonschema::meta::is_valid(&schema), "the schema is one of draft 2020-12");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("the schema can be used")
}

/// What the program writes of some captures: one object a session.
fn objects(captures: Vec<Capture>, ports: &[u16]) -> Vec<Value> {
    let mut out = Vec::new();
    let mut reporter = Reporter::new(&mut out, Options { format: Format::Jsonl, ..Options::default() });
    common::look_at(captures, ports, |session, judgement, taps| {
        reporter.session(session, judgement, taps).expect("a vector takes all");
    });
    drop(reporter);
    String::from_utf8(out).expect("JSON is UTF-8").lines().map(|line| line.parse().expect("a line is JSON")).collect()
}

/// How many sessions there were, each of which is as the schema says.
fn checked(validator: &Validator, name: &str, captures: Vec<Capture>, ports: &[u16]) -> usize {
    let objects = objects(captures, ports);
    for object in &objects {
        let wrong: Vec<String> =
            validator.iter_errors(object).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{name}, session {}: {wrong:#?}", object["session"]);
    }
    objects.len()
}

#[test]
fn what_is_said_of_every_set_of_taps_is_as_the_schema_says() {
    let validator = validator();
    let mut sessions = 0;
    for case in labelled::all() {
        for taps in common::subsets(case.taps.len()) {
            for given in [true, false] {
                let capture = |&tap: &usize| {
                    let (place, path): &(Place, PathBuf) = &case.taps[tap];
                    common::capture(given.then_some(*place), path)
                };
                sessions += checked(&validator, &case.name, taps.iter().map(capture).collect(), &case.ports);
            }
        }
    }
    assert!(sessions > SESSIONS, "only {sessions} sessions");
}

#[test]
fn what_is_said_of_public_traces_is_as_the_schema_says() {
    let Some(folder) = shared::folder("FTPWHY_TRACES", "traces") else { return };
    let validator = validator();
    let truth = fs::read_to_string(folder.join("truth.jsonl")).expect("truth.jsonl is readable");
    let mut sessions = 0;
    for line in truth.lines() {
        let file: Value = line.parse().expect("a line is JSON");
        let name = file["file"].as_str().expect("a file has a name");
        let ports = file["control_ports"].as_array().into_iter().flatten().filter_map(Value::as_u64);
        let ports: Vec<u16> = ports.map(|port| port as u16).collect();
        sessions += checked(&validator, name, vec![common::capture(None, folder.join(name))], &ports);
    }
    assert!(sessions > 20, "only {sessions} sessions");
}

#[test]
fn the_schema_is_strict() {
    let validator = validator();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/story-2-active-put");
    let taps = [(Place::Client, "client.pcap"), (Place::Server, "server.pcap")];
    let captures = taps.map(|(place, name)| common::capture(Some(place), folder.join(name))).to_vec();
    let object = objects(captures, &[]).remove(0);
    assert!(validator.is_valid(&object));
    for (place, value) in [
        ("/schema", "ftpwhy.session/2".into()),
        ("/session", 0.into()),
        ("/started", "2026-11-24 09:04:13".into()),
        ("/client/ip", "172.16.0".into()),
        ("/client/port", 65536.into()),
        ("/control/outcome", "broken".into()),
        ("/transfers/0/mode", "port".into()),
        ("/transfers/0/diagnosis/rule", "5".into()),
        ("/transfers/0/diagnosis/lost", "syn".into()),
        ("/transfers/0/diagnosis/evidence/0/frame", 0.into()),
        ("/timeline/0/direction", Value::Null),
    ] {
        let mut other = object.clone();
        *other.pointer_mut(place).expect("the place is there") = value;
        assert!(!validator.is_valid(&other), "{place}");
    }
    for place in ["", "/taps/0", "/transfers/0", "/transfers/0/diagnosis/evidence/0", "/timeline/0"] {
        let mut other = object.clone();
        let fields = other.pointer_mut(place).and_then(Value::as_object_mut).expect("the place holds an object");
        fields.insert("further".to_owned(), Value::Null);
        assert!(!validator.is_valid(&other), "{place}: a further field");
    }
}

/// The line of `docs/json.md` after which everything is made from the schema.
const MADE: &str = "<!-- Made from session.schema.json: FTPWHY_BLESS=1 cargo test --test schema -->\n";

#[test]
fn the_reference_is_the_schema() {
    let text = fs::read_to_string(path("json.md")).expect("the reference is there");
    let (head, tables) = text.split_once(MADE).expect("the reference has its tables");
    let made = reference(&schema());
    if std::env::var_os("FTPWHY_BLESS").is_some() {
        fs::write(path("json.md"), format!("{head}{MADE}{made}")).expect("the reference can be written");
    } else {
        assert!(tables == made, "docs/json.md says something else than the schema; from it follows\n{made}");
    }
}

/// A table of fields for every object of the schema.
fn reference(schema: &Value) -> String {
    let parts = schema["$defs"].as_object().expect("the schema has its parts");
    let mut made = table("session", schema);
    // In the order in which a reader meets them, which a map does not keep.
    let order = [
        "tap",
        "endpoint",
        "control",
        "transfer",
        "data_connection",
        "reply",
        "diagnosis",
        "stretch",
        "netfilter",
        "evidence",
        "remedy",
        "event",
    ];
    for name in order {
        made += &table(name, &parts[name]);
    }
    let simple = parts.iter().filter(|(_, part)| part["properties"].is_null());
    made += "\n## Texts of a fixed form\n\n| type | what it is |\n|---|---|\n";
    simple.clone().for_each(|(name, part)| made += &format!("| {name} | {} |\n", text(&part["description"])));
    assert_eq!(parts.len(), order.len() + simple.count(), "every part of the schema is told");
    made
}

fn table(name: &str, part: &Value) -> String {
    let mut made =
        format!("\n## {name}\n\n{}\n\n| field | type | what it is |\n|---|---|---|\n", text(&part["description"]));
    let required = part["required"].as_array().expect("a part says which fields are always there");
    let properties = part["properties"].as_object().expect("a part has fields");
    // `required` has the order of the text; what is not always there comes last.
    let always = required.iter().map(text);
    let at_times = properties.keys().filter(|field| !required.iter().any(|name| name.as_str() == Some(field)));
    for field in always.chain(at_times.cloned()) {
        let value = &properties[&field];
        let absent = if required.iter().any(|name| *name == *field) { "" } else { ", not always there" };
        made += &format!("| `{field}` | {}{absent} | {} |\n", kind(value), text(&value["description"]));
    }
    made
}

/// The type of a value in words.
fn kind(value: &Value) -> String {
    let named = |value: &Value| match text(&value["$ref"]).rsplit('/').next() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => text(&value["type"]),
    };
    let words = |values: &[Value]| {
        let words = values.iter().map(|word| word.as_str().map_or("null".to_owned(), |word| format!("`{word}`")));
        words.collect::<Vec<_>>().join(", ")
    };
    match (&value["type"], &value["enum"], &value["anyOf"], &value["const"]) {
        (_, Value::Array(values), ..) => words(values),
        (.., Value::String(word)) => format!("`{word}`"),
        (_, _, Value::Array(others), _) => others.iter().map(named).collect::<Vec<_>>().join(" or "),
        (Value::Array(types), ..) => types.iter().map(text).collect::<Vec<_>>().join(" or "),
        (Value::String(one), ..) if one == "array" => format!("list of {}", named(&value["items"])),
        _ => named(value),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
