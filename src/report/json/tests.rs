#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::report::testing::{Talk, judged, tap, unanswered};
use crate::session::view::Mode;

/// The object of a conversation with one transfer.
fn object(talk: Talk, outcome: Outcome, verdict: Option<Verdict>, taps: &[TapFacts]) -> Value {
    let mut out = Vec::new();
    write(&mut out, &talk.session(), &judged(outcome, verdict), taps).unwrap();
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn the_object_is_the_one_of_the_contract() {
    let mut talk = Talk::active();
    talk.attempt();
    let object = object(talk, Outcome::Failed, Some(unanswered()), &[tap("server.pcap")]);
    let endpoint = |ip, port| json!({"ip": ip, "port": port});
    let event = |time, frame, connection, transfer: Option<u32>, direction, event, text| {
        json!({"time": format!("2010-07-04T10:15:00.00{time}000000Z"), "tap": "server.pcap", "frame": frame,
            "connection": connection, "transfer": transfer, "direction": direction, "event": event, "text": text})
    };
    let expected = json!({
        "schema": "ftpwhy.session/1", "session": 1,
        "taps": [{"name": "server.pcap", "place": "server", "place_from": "given", "why": "",
            "packets": 59, "lost": 0, "complete": true, "clock_offset_ns": 0}],
        "client": endpoint("172.16.0.99", 49152), "server": endpoint("172.16.0.10", 21),
        "started": "2010-07-04T10:15:00.001000000Z", "ended": "2010-07-04T10:15:00.008000000Z",
        "user": "anonymous", "software": "vsFTPd 2.2.2", "encrypted": false,
        "control": {"outcome": "completed", "diagnosis": null},
        "transfers": [{
            "number": 1, "command": "STOR", "argument": "./testfile02", "mode": "PORT",
            "endpoint": endpoint("172.16.0.99", 49160),
            "data_connection": {"opener": "server", "source": endpoint("172.16.0.10", 20),
                "destination": endpoint("172.16.0.99", 49160), "result": "unanswered", "syns": 1,
                "bytes_to_server": 0, "bytes_to_client": 0, "closed_by": "none"},
            "replies": [{"code": 200, "text": "PORT command successful. Consider using PASV."},
                {"code": 425, "text": "Failed to establish connection."}],
            "outcome": "failed",
            "diagnosis": {"rule": "O5", "name": "data-syn-unanswered",
                "summary": null,
                "side": "beyond-server", "stretch": {"from": "client", "to": "server.pcap"}, "device": null,
                "mechanism": "silent-drop", "lost": "data-syn", "netfilter": null, "confidence": "likely",
                "evidence": [
                    {"tap": "server.pcap", "frame": 4, "time": "2010-07-04T10:15:00.004000000Z",
                        "text": "client: PORT 172,16,0,99,192,8"},
                    {"tap": "server.pcap", "frame": 8, "time": "2010-07-04T10:15:00.008000000Z",
                        "text": "nothing answers the SYN: no SYN-ACK, RST or ICMP error"}],
                "remedies": [{"on": "client", "text": "On the client, allow it:",
                    "commands": ["iptables -I INPUT -j ACCEPT", "nft add rule"]}]}}],
        "timeline": [
            event(1, 1, "control", None, "to-client", "reply", "220 (vsFTPd 2.2.2)"),
            event(2, 2, "control", None, "to-server", "command", "USER anonymous"),
            event(3, 3, "control", None, "to-client", "reply", "230 Login successful."),
            event(4, 4, "control", Some(1), "to-server", "command", "PORT 172,16,0,99,192,8"),
            event(5, 5, "control", Some(1), "to-client", "reply", "200 PORT command successful. Consider using PASV."),
            event(6, 6, "control", Some(1), "to-server", "command", "STOR ./testfile02"),
            event(7, 7, "control", Some(1), "to-client", "reply", "425 Failed to establish connection."),
            event(8, 8, "data", Some(1), "to-client", "syn", "SYN 172.16.0.10:20 > 172.16.0.99:49160"),
        ],
    });
    let summary = object.pointer("/transfers/0/diagnosis/summary").and_then(Value::as_str).unwrap().to_owned();
    assert!(summary.starts_with("Something between the client and the capture point server.pcap dropped"), "{summary}");
    let mut expected = expected;
    *expected.pointer_mut("/transfers/0/diagnosis/summary").unwrap() = Value::String(summary);
    assert_eq!(object, expected);
}

#[test]
fn what_does_not_exist_is_null() {
    let mut talk = Talk::active();
    let transfer = &mut talk.view.transfers[0];
    (transfer.negotiation, transfer.command) = (None, None);
    talk.view.user = None;
    talk.view.greeting = None;
    let object = object(talk, Outcome::Unknown, None, &[tap("x")]);
    for field in ["user", "software", "control/diagnosis"] {
        assert_eq!(object.pointer(&format!("/{field}")), Some(&Value::Null), "{field}");
    }
    for field in ["command", "argument", "mode", "endpoint", "data_connection", "diagnosis"] {
        assert_eq!(object.pointer(&format!("/transfers/0/{field}")), Some(&Value::Null), "{field}");
    }
}

#[test]
fn a_transfer_that_was_inferred_says_so() {
    let mut talk = Talk::active();
    let transfer = &mut talk.view.transfers[0];
    (transfer.negotiation, transfer.inferred) = (None, true);
    let object = object(talk, Outcome::Unknown, None, &[tap("x")]);
    assert_eq!(object["transfers"][0]["mode"], "inferred");
}

#[test]
fn hostile_bytes_make_valid_json() {
    let mut talk = Talk::active();
    let command = talk.command_bytes(b"STOR \x1b[2J\"\\\xff\x00\xe2\x80\xae");
    talk.view.transfers[0].command = Some(command);
    let object = object(talk, Outcome::Failed, None, &[tap("\u{7f}\"")]);
    assert_eq!(object["transfers"][0]["argument"], "\u{1b}[2J\"\\\u{fffd}\0\u{202e}");
    assert_eq!(object["taps"][0]["name"], "\u{7f}\"");
}

#[test]
fn frames_of_rotated_captures_carry_their_file() {
    let mut taps = [tap("a.pcap")];
    taps[0].files.push("b.pcap".to_owned());
    let mut talk = Talk::active();
    talk.view.log[6].at.file = 1;
    let object = object(talk, Outcome::Failed, Some(unanswered()), &taps);
    assert_eq!(object["timeline"][6]["file"], "b.pcap");
    assert_eq!(object["timeline"][5]["file"], "a.pcap");
    assert_eq!(object["transfers"][0]["diagnosis"]["evidence"][0]["file"], "a.pcap");
}

#[test]
fn a_tap_that_lost_packets_is_not_complete() {
    for harm in [|tap: &mut TapFacts| tap.lost = 1, |tap: &mut TapFacts| tap.cut = true] {
        let mut taps = [tap("x")];
        harm(&mut taps[0]);
        assert_eq!(object(Talk::active(), Outcome::Failed, None, &taps)["taps"][0]["complete"], false);
    }
    let mut talk = Talk::active();
    talk.view.gaps = 1;
    assert_eq!(object(talk, Outcome::Failed, None, &[tap("x")])["taps"][0]["complete"], false);
}

#[test]
fn what_would_act_on_a_terminal_is_an_escape_that_means_the_same() {
    let text = "220 \x1b[2J\x7f\u{9b}31m \u{202e}exe \u{e0041} gr\u{fc}n \u{1f600}";
    let mut talk = Talk::active();
    talk.reply(220, text);
    let mut out = Vec::new();
    write(&mut out, &talk.session(), &judged(Outcome::Failed, None), &[tap("x")]).unwrap();
    let written = String::from_utf8(out).unwrap();
    assert!(written.chars().all(is_harmless), "{written}");
    let object: Value = serde_json::from_str(&written).unwrap();
    let events = object["timeline"].as_array().unwrap();
    assert_eq!(events.last().unwrap()["text"], text);
}

#[test]
fn the_schema_has_the_words_of_the_closed_lists() {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/session.schema.json")).unwrap();
    let places = [
        ("side", "data_connection/properties/opener"),
        ("place", "tap/properties/place"),
        ("place_from", "tap/properties/place_from"),
        ("owner", "diagnosis/properties/side"),
        ("host", "netfilter/properties/host"),
        ("witness", "netfilter/properties/from"),
        ("outcome", "transfer/properties/outcome"),
        ("control", "control/properties/outcome"),
        ("mechanism", "diagnosis/properties/mechanism"),
        ("lost", "diagnosis/properties/lost"),
        ("confidence", "diagnosis/properties/confidence"),
        ("fate", "data_connection/properties/result"),
        ("closed_by", "data_connection/properties/closed_by"),
        ("event", "event/properties/event"),
    ];
    let listed: BTreeSet<&str> = names::LISTS.iter().map(|(list, _)| *list).collect();
    assert_eq!(listed, places.iter().map(|(list, _)| *list).collect(), "every list has its place in the schema");
    for (list, words) in names::LISTS {
        let (_, place) = places.iter().find(|(other, _)| other == list).unwrap();
        let words: BTreeSet<&str> = words.iter().copied().collect();
        let values = schema.pointer(&format!("/$defs/{place}/enum")).and_then(Value::as_array).unwrap();
        assert_eq!(values.iter().filter_map(Value::as_str).collect::<BTreeSet<_>>(), words, "{place}");
    }
    let modes = schema.pointer("/$defs/transfer/properties/mode/enum").and_then(Value::as_array).unwrap();
    for mode in [Mode::Port, Mode::Pasv, Mode::Eprt, Mode::Epsv, Mode::Lprt, Mode::Lpsv] {
        assert!(modes.contains(&json!(mode.name())), "{mode:?}");
    }
}
