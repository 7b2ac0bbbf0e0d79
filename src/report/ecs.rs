//! Transfers as events for Elasticsearch and what understands its names: a JSON object a line, in the Elastic Common Schema.
//!
//! Source and destination are those of the data connection, from who opens it to who listens; client and server are those of
//! the control connection. What the schema has no field for is under `ftpwhy`.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::line::Side;
use crate::packet::Endpoint;
use crate::report::facts::{self, DataConnection};
use crate::report::json::Harmless;
use crate::report::lines::{Line, lines};
use crate::report::names;
use crate::report::time::Rfc3339;
use crate::report::words::{Names, summary};
use crate::session::join::Session;
use crate::verdict::{Case, Judgement, TapFacts};

/// The version of the schema that the names are from.
const VERSION: &str = "8.11.0";

/// Commands whose argument names a file.
const FILE_COMMANDS: [&str; 4] = ["RETR", "STOR", "APPE", "STOU"];

/// Appends the lines of one session.
///
/// # Errors
/// None that a vector could cause.
pub(super) fn write(
    out: &mut Vec<u8>,
    session: &Session,
    judgement: &Judgement,
    taps: &[TapFacts],
) -> serde_json::Result<()> {
    for line in lines(session, judgement, taps) {
        let mut event = Map::new();
        let fields = [general(&line), network(&line.case), told(&line), own(&line)];
        let known = fields.into_iter().flatten().filter(|(_, value)| !value.is_null());
        known.for_each(|(field, value)| put(&mut event, field, value));
        event.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Harmless))?;
        out.push(b'\n');
    }
    Ok(())
}

/// A field by its full name, and its value; null if there is none.
type Field = (&'static str, Value);

/// Puts a value where its name says: `event.kind` is `kind` in `event`.
fn put(object: &mut Map<String, Value>, field: &str, value: Value) {
    match field.split_once('.') {
        None => drop(object.insert(field.to_owned(), value)),
        Some((outer, field)) => {
            let inner = object.entry(outer).or_insert_with(|| Map::new().into());
            if let Some(inner) = inner.as_object_mut() {
                put(inner, field, value);
            }
        }
    }
}

/// What kind of event it is, when, and by whom observed.
fn general(line: &Line<'_>) -> Vec<Field> {
    let (began, ended) = facts::span(&line.case);
    let (action, dataset) = match line.case.transfer {
        Some(_) => ("ftp-transfer", "ftpwhy.transfer"),
        None => ("ftp-control-connection", "ftpwhy.control"),
    };
    let (outcome, types) = match line.outcome {
        "completed" => ("success", &["connection", "end"][..]),
        "failed" | "interrupted" => ("failure", &["connection", "end"][..]),
        "aborted" => ("unknown", &["connection", "end"][..]),
        _ => ("unknown", &["connection"][..]),
    };
    vec![
        ("@timestamp", json!(Rfc3339(began))),
        ("ecs.version", json!(VERSION)),
        ("event.kind", json!("event")),
        ("event.category", json!(["network"])),
        ("event.type", json!(types)),
        ("event.action", json!(action)),
        ("event.module", json!("ftpwhy")),
        ("event.dataset", json!(dataset)),
        ("event.outcome", json!(outcome)),
        ("event.start", json!(Rfc3339(began))),
        ("event.end", json!(Rfc3339(ended))),
        ("event.duration", json!(ended.0.saturating_sub(began.0))),
        ("observer.type", json!("sensor")),
        ("observer.product", json!("ftpwhy")),
        ("observer.version", json!(env!("CARGO_PKG_VERSION"))),
    ]
}

/// An end of a connection, its port if that is known.
type End = (IpAddr, Option<u16>);

/// Who opens the connection in question, and who listens: of the data connection, if one was agreed upon.
fn ends(case: &Case<'_>, data: Option<DataConnection>) -> (End, End) {
    let known = |Endpoint { ip, port }: Endpoint| (ip, Some(port));
    let (client, server) = (case.view().client, case.view().server);
    let Some(data) = data else { return (known(client), known(server)) };
    let (opener, listener) = if data.opener == Side::Client { (client, server) } else { (server, client) };
    (data.source.map_or((opener.ip, None), known), data.destination.map_or((listener.ip, None), known))
}

/// Between whom, and how much.
fn network(case: &Case<'_>) -> Vec<Field> {
    let view = case.view();
    let data = facts::data_connection(case);
    let (source, destination) = ends(case, data);
    let bytes = data.map(|data| match data.opener {
        Side::Client => (data.bytes_to_server, data.bytes_to_client),
        Side::Server => (data.bytes_to_client, data.bytes_to_server),
    });
    let mut related = vec![view.client.ip, view.server.ip, source.0, destination.0];
    related.sort();
    related.dedup();
    vec![
        ("network.protocol", json!("ftp")),
        ("network.transport", json!("tcp")),
        ("network.type", json!(if view.server.ip.is_ipv4() { "ipv4" } else { "ipv6" })),
        ("network.bytes", json!(bytes.map(|(from_source, to_source)| from_source + to_source))),
        ("source.ip", json!(source.0)),
        ("source.port", json!(source.1)),
        ("source.bytes", json!(bytes.map(|(from_source, _)| from_source))),
        ("destination.ip", json!(destination.0)),
        ("destination.port", json!(destination.1)),
        ("destination.bytes", json!(bytes.map(|(_, to_source)| to_source))),
        ("client.ip", json!(view.client.ip)),
        ("client.port", json!(view.client.port)),
        ("server.ip", json!(view.server.ip)),
        ("server.port", json!(view.server.port)),
        ("related.ip", json!(related)),
    ]
}

/// What was asked for by whom, and what is said of it.
fn told(line: &Line<'_>) -> Vec<Field> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let user = facts::user(line.case.view()).map(text);
    let path = facts::command(&line.case)
        .filter(|command| FILE_COMMANDS.iter().any(|verb| facts::verb(command).eq_ignore_ascii_case(verb.as_bytes())))
        .map(|command| text(facts::argument(command)));
    let name = path.as_ref().and_then(|path| path.rsplit('/').next()).filter(|name| !name.is_empty());
    let rule = line.verdict.map(|verdict| verdict.rule);
    vec![
        ("event.reason", json!(line.verdict.map(|verdict| summary(&line.case, verdict).english()))),
        ("user.name", json!(user)),
        ("related.user", json!(user.map(|user| [user]))),
        ("file.name", json!(name)),
        ("rule.id", json!(rule.map(|rule| rule.id))),
        ("rule.name", json!(rule.map(|rule| rule.name))),
    ]
}

/// What the schema has no field for, by the names and in the words of the form of a session.
fn own(line: &Line<'_>) -> Vec<Field> {
    let Line { case, outcome, verdict } = *line;
    let names = Names::of(case);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let command = facts::command(&case);
    let argument = command.map(facts::argument).filter(|argument| !argument.is_empty());
    let listener = case.negotiation().and_then(|negotiation| facts::endpoint(case.view(), negotiation));
    let finding = verdict.map(|verdict| &verdict.finding);
    let stretch = finding.and_then(|finding| finding.stretch);
    let code = case.transfer().map(|transfer| transfer.code).filter(|&code| code > 0);
    let taps: Vec<&str> = (0..case.session.sights.len()).map(|sight| names.tap(sight)).collect();
    vec![
        ("ftpwhy.session", json!(case.session.number)),
        ("ftpwhy.transfer", json!(case.transfer.map(|index| index + 1))),
        ("ftpwhy.taps", json!(taps)),
        ("ftpwhy.outcome", json!(outcome)),
        ("ftpwhy.command", json!(command.map(facts::verb).map(text))),
        ("ftpwhy.argument", json!(argument.map(text))),
        ("ftpwhy.mode", json!(case.transfer().and_then(facts::mode))),
        ("ftpwhy.listener.ip", json!(listener.map(|listener| listener.ip))),
        ("ftpwhy.listener.port", json!(listener.map(|listener| listener.port))),
        ("ftpwhy.reply_code", json!(code)),
        ("ftpwhy.side", json!(verdict.map(|verdict| names::owner(verdict.owner)))),
        ("ftpwhy.stretch.from", json!(stretch.map(|stretch| names.point(stretch.from)))),
        ("ftpwhy.stretch.to", json!(stretch.map(|stretch| names.point(stretch.to)))),
        ("ftpwhy.device", json!(finding.and_then(|finding| finding.device))),
        ("ftpwhy.mechanism", json!(finding.map(|finding| names::mechanism(finding.mechanism)))),
        ("ftpwhy.lost", json!(finding.and_then(|finding| finding.lost).map(names::lost))),
        ("ftpwhy.confidence", json!(finding.map(|finding| names::confidence(finding.confidence)))),
    ]
}
