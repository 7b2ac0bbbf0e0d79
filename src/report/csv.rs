//! Transfers as a table for spreadsheets and scripts: RFC 4180, a record a transfer.
//!
//! Text from the wire is escaped as people are shown it, so every record is one line. What a spreadsheet would take for a
//! formula (CWE-1236) gets an apostrophe before it.

use std::io;

use csv::{Terminator, WriterBuilder};

use crate::report::escape::Escaped;
use crate::report::facts;
use crate::report::lines::{Line, lines};
use crate::report::names;
use crate::report::time::Rfc3339;
use crate::report::words::summary;
use crate::session::join::Session;
use crate::verdict::{Judgement, TapFacts};

/// What a column of a line holds; nothing if it is not known.
type Field = fn(&Line<'_>) -> Option<String>;

/// Names of columns, and what they hold.
const COLUMNS: &[(&str, Field)] = &[
    ("session", |line| Some(line.case.session.number.to_string())),
    ("transfer", |line| line.case.transfer.map(|index| (index + 1).to_string())),
    ("began", |line| Some(Rfc3339(facts::span(&line.case).0).to_string())),
    ("client", |line| Some(line.case.view().client.ip.to_string())),
    ("server", |line| Some(line.case.view().server.ip.to_string())),
    ("control_port", |line| Some(line.case.view().server.port.to_string())),
    ("user", |line| facts::user(line.case.view()).map(harmless)),
    ("command", |line| facts::command(&line.case).map(facts::verb).map(harmless)),
    ("argument", |line| facts::command(&line.case).map(facts::argument).map(harmless)),
    ("mode", |line| line.case.transfer().and_then(facts::mode).map(str::to_owned)),
    ("listener", |line| Some(facts::endpoint(line.case.view(), line.case.negotiation()?)?.to_string())),
    ("outcome", |line| Some(line.outcome.to_owned())),
    ("rule", |line| Some(line.verdict?.rule.id.to_owned())),
    ("name", |line| Some(line.verdict?.rule.name.to_owned())),
    ("side", |line| Some(names::owner(line.verdict?.owner).to_owned())),
    ("mechanism", |line| Some(names::mechanism(line.verdict?.finding.mechanism).to_owned())),
    ("confidence", |line| Some(names::confidence(line.verdict?.finding.confidence).to_owned())),
    ("bytes_to_server", |line| Some(facts::data_connection(&line.case)?.bytes_to_server.to_string())),
    ("bytes_to_client", |line| Some(facts::data_connection(&line.case)?.bytes_to_client.to_string())),
    ("reply_code", |line| {
        line.case.transfer().map(|transfer| transfer.code).filter(|&code| code > 0).map(|code| code.to_string())
    }),
    ("summary", |line| Some(harmless(summary(&line.case, line.verdict?).english().as_bytes()))),
];

/// Appends the names of the columns.
///
/// # Errors
/// None that a vector could cause.
pub(super) fn head(out: &mut Vec<u8>) -> io::Result<()> {
    record(out, COLUMNS.iter().map(|(name, _)| (*name).to_owned()))
}

/// Appends the records of one session.
///
/// # Errors
/// None that a vector could cause.
pub(super) fn write(out: &mut Vec<u8>, session: &Session, judgement: &Judgement, taps: &[TapFacts]) -> io::Result<()> {
    lines(session, judgement, taps)
        .try_for_each(|line| record(out, COLUMNS.iter().map(|(_, field)| no_formula(field(&line).unwrap_or_default()))))
}

fn record(out: &mut Vec<u8>, fields: impl Iterator<Item = String>) -> io::Result<()> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
    writer.write_record(fields)?;
    writer.flush()
}

fn harmless(text: &[u8]) -> String {
    Escaped(text).to_string()
}

/// The field as a spreadsheet takes it for text: with an apostrophe, if it begins as formulas do (in East Asian locales with
/// the fullwidth signs, too). A tabulator, which would do the same, was escaped.
fn no_formula(field: String) -> String {
    let is_formula = field.starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']);
    if is_formula { format!("'{field}") } else { field }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_a_formula_is_text() {
        for (field, shown) in [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("@SUM(1)", "'@SUM(1)"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("\u{ff1d}1", "'\u{ff1d}1"),
            ("a=1", "a=1"),
            ("'quoted'", "'quoted'"),
            ("", ""),
        ] {
            assert_eq!(no_formula(field.to_owned()), shown);
        }
    }
}
