//! Public FTP captures against what an independent dissector read in them.
//!
//! `truth.jsonl` holds sessions, negotiations, transfers, data connections and final replies. Every difference is a row
//! of [`EXPLAINED`] with its reason; a difference that is not there fails, and so does a row that no longer differs.

mod common;
mod shared;

use std::collections::BTreeSet;
use std::fs;

use ftpwhy::line::{Owner, Side};
use ftpwhy::packet::Endpoint;
use ftpwhy::session::join::Session;
use ftpwhy::session::view::{EventKind, View};
use ftpwhy::tcp::connection::Role;
use serde_json::Value;

/// File, what differs, and why we keep our reading.
const EXPLAINED: &[(&str, &str, &str)] = &[
    (
        "OISF-suricata-verify/ftp-mode-02__input.pcap",
        "transfer 2: ours None, theirs Some(\"PORT  |  |  | no data connection\")",
        "two malformed PORT without a transfer: the second supersedes the first in one entry",
    ),
    (
        "seladb-PcapPlusPlus/Ftp.pcap",
        "session 192.168.0.114:1137 > 192.168.0.193:21 is not theirs",
        "sixteen years lie between the packets of this pair of ports: two sessions",
    ),
    (
        "seladb-PcapPlusPlus/Ftp.pcap",
        "session [2002:5183:4383::5183:4383]:1026 > [2001:638:902:1:201:2ff:fee2:7596]:21 is missing",
        "IPv6 tunnelled in IPv4 (protocol 41) is not decoded",
    ),
];

#[test]
fn sessions_transfers_and_data_connections_agree_with_the_dissector() {
    let Some(folder) = shared::folder("FTPWHY_TRACES", "traces") else { return };
    let truth = fs::read_to_string(folder.join("truth.jsonl")).expect("truth.jsonl is readable");
    let mut differences = BTreeSet::new();
    let mut files = 0;
    for line in truth.lines() {
        let file: Value = serde_json::from_str(line).expect("a line is JSON");
        let name = text(&file["file"]);
        files += 1;
        for difference in compare(&file, folder.join(&name)) {
            differences.insert((name.clone(), difference));
        }
    }
    assert!(files > 20, "only {files} files were compared");
    let explained: BTreeSet<(String, String)> = EXPLAINED.iter().map(|row| (row.0.into(), row.1.into())).collect();
    let new: Vec<_> = differences.difference(&explained).collect();
    let gone: Vec<_> = explained.difference(&differences).collect();
    assert!(new.is_empty(), "unexplained differences: {new:#?}");
    assert!(gone.is_empty(), "explained, but no longer there: {gone:#?}");
}

fn compare(file: &Value, path: std::path::PathBuf) -> Vec<String> {
    let ports: Vec<u16> =
        file["control_ports"].as_array().into_iter().flatten().map(|port| number(port) as u16).collect();
    let mut found: Vec<(String, String, Vec<String>)> = Vec::new();
    let mut differences = Vec::new();
    common::look_at(vec![common::capture(None, path)], &ports, |session, judgement, _| {
        for (outcome, verdict) in &judgement.transfers {
            let blames = verdict.as_ref().is_some_and(|verdict| !matches!(verdict.owner, Owner::None | Owner::Unknown));
            if blames {
                differences
                    .push(format!("a firewall is blamed: {outcome:?} {:?}", verdict.as_ref().map(|v| v.rule.id)));
            }
        }
        let facts = (0..session.main().transfers.len()).map(|index| ours(session, index)).collect();
        found.push((session.main().client.to_string(), session.main().server.to_string(), facts));
    });
    let sessions = file["sessions"].as_array().cloned().unwrap_or_default();
    for theirs in &sessions {
        let ends = (text(&theirs["client"]), text(&theirs["server"]));
        let Some(at) = found.iter().position(|(client, server, _)| (client, server) == (&ends.0, &ends.1)) else {
            differences.push(format!("session {} > {} is missing", ends.0, ends.1));
            continue;
        };
        let (.., mine) = found.remove(at);
        let transfers = theirs["transfers"].as_array().cloned().unwrap_or_default();
        let theirs: Vec<String> = transfers.iter().map(their_words).collect();
        for index in 0..theirs.len().max(mine.len()) {
            let (mine, theirs) = (mine.get(index), theirs.get(index));
            if mine != theirs {
                differences.push(format!("transfer {}: ours {mine:?}, theirs {theirs:?}", index + 1));
            }
        }
    }
    differences.extend(found.iter().map(|(client, server, _)| format!("session {client} > {server} is not theirs")));
    differences
}

/// One transfer in one line, as the dissector's file has it.
fn their_words(transfer: &Value) -> String {
    let data = &transfer["data_connection"];
    let reply = text(&transfer["final_reply"]);
    let connection = if data.is_null() {
        String::from("no data connection")
    } else {
        format!(
            "{} > {} {} / {} bytes",
            text(&data["orig"]),
            text(&data["resp"]),
            number(&data["payload_bytes"]["orig_to_resp"]),
            number(&data["payload_bytes"]["resp_to_orig"])
        )
    };
    let command: String = text(&transfer["command"]).chars().take(200).collect();
    format!("{} {} | {command} | {reply} | {connection}", text(&transfer["mode"]), text(&transfer["negotiated"]))
}

fn ours(session: &Session, index: usize) -> String {
    let view = session.main();
    let transfer = &view.transfers[index];
    let negotiation = transfer.negotiation.as_ref();
    let mode = negotiation.map_or("", |negotiation| negotiation.mode.name());
    let negotiated = negotiation.and_then(|negotiation| {
        let offered = negotiation.offered?;
        let peer = if negotiation.mode.listener() == Side::Server { view.server.ip } else { view.client.ip };
        Some(Endpoint { ip: offered.address.unwrap_or(peer), port: offered.port }.to_string())
    });
    let event = |index: Option<u32>| {
        let event = index.and_then(|index| view.event(index));
        event.map(|event| String::from_utf8_lossy(view.text_of(event)).into_owned()).unwrap_or_default()
    };
    let command: String = event(transfer.command).chars().take(200).collect();
    let connection = view.attempts_of(index).last().map_or(String::from("no data connection"), |(_, attempt)| {
        let c = &attempt.connection;
        format!(
            "{} > {} {} / {} bytes",
            c.opener,
            c.listener,
            c.half(Role::Opener).bytes(),
            c.half(Role::Listener).bytes()
        )
    });
    format!(
        "{mode} {} | {command} | {} | {connection}",
        negotiated.unwrap_or_default(),
        final_reply(view, transfer.reply)
    )
}

/// The final reply as the dissector writes it: the code and the text of its last line.
fn final_reply(view: &View, reply: Option<u32>) -> String {
    let event = reply.and_then(|reply| view.event(reply));
    event
        .filter(|event| matches!(event.kind, EventKind::Reply(_)))
        .map(|event| String::from_utf8_lossy(view.text_of(event)).trim_end().to_owned())
        .unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}
