#![allow(clippy::unwrap_used)]

use super::testing::{Talk, judged, tap, unanswered, verdict};
use super::*;
use crate::cite::At;
use crate::line::{Owner, Place, Point, Stretch};
use crate::session::join::join;
use crate::session::place::Placing;
use crate::session::view::Mode;
use crate::verdict::{ControlOutcome, Lost, Mechanism, Outcome, Verdict};

/// The report of these sessions.
fn report(options: Options, sessions: Vec<(Talk, Judgement)>, taps: &[TapFacts]) -> (String, Totals) {
    let mut out = Vec::new();
    let mut reporter = Reporter::new(&mut out, options);
    for (talk, judgement) in sessions {
        reporter.session(&talk.session(), &judgement, taps).unwrap();
    }
    let totals = reporter.finish(taps, &complaints(taps)).unwrap();
    (String::from_utf8(out).unwrap(), totals)
}

fn failed() -> (Talk, Judgement) {
    let mut talk = Talk::active();
    talk.attempt();
    (talk, judged(Outcome::Failed, Some(unanswered())))
}

fn completed() -> (Talk, Judgement) {
    (Talk::active(), judged(Outcome::Completed, None))
}

fn taps() -> [TapFacts; 1] {
    [tap("server.pcap")]
}

#[test]
fn a_failure_reads_as_designed() {
    let (text, totals) = report(Options::default(), vec![failed()], &taps());
    assert_eq!(
        text,
        "\
✗ STOR ./testfile02   172.16.0.99 -> 172.16.0.10 (vsFTPd 2.2.2, anonymous)   active: PORT 172.16.0.99:49160   O5 data-syn-unanswered
  Something between the client and the capture point server.pcap dropped the server's data connection: the path, or the client's own firewall. [likely]

    server.pcap:4   +0.003              client: PORT 172,16,0,99,192,8
    server.pcap     +0.007 to +59.999   nothing answers the SYN: no SYN-ACK, RST or ICMP error

  Note: a note
  To know more: capture on the client

  On the client, allow it:
    iptables  iptables -I INPUT -j ACCEPT
    nft       nft add rule

  session 1, began 2010-07-04 10:15:00 UTC

1 session, 1 transfer: 1 failed (client's side or network 1)
"
    );
    assert_eq!((totals.failed_sessions, totals.ended(Outcome::Failed)), (1, 1));
}

#[test]
fn healthy_sessions_are_shown_on_demand() {
    let (text, _) = report(Options::default(), vec![completed()], &taps());
    assert_eq!(text, "1 session, 1 transfer: 1 completed (--all shows every session)\n");
    for options in [Options { all: true, ..Options::default() }, Options { session: Some(1), ..Options::default() }] {
        let (text, _) = report(options, vec![completed()], &taps());
        assert!(text.starts_with("✓ STOR ./testfile02   172.16.0.99 -> 172.16.0.10"), "{text}");
        assert!(text.ends_with("\n1 session, 1 transfer: 1 completed\n"), "{text}");
    }
}

#[test]
fn only_what_is_selected_is_shown_and_counted() {
    let shown = |options| report(options, vec![failed()], &taps()).1.sessions;
    assert_eq!(shown(Options { session: Some(2), ..Options::default() }), 0);
    assert_eq!(shown(Options { host: "172.16.0.10".parse().ok(), ..Options::default() }), 1);
    assert_eq!(shown(Options { host: "172.16.0.99".parse().ok(), ..Options::default() }), 1);
    assert_eq!(shown(Options { host: "172.16.0.1".parse().ok(), ..Options::default() }), 0);
    assert_eq!(shown(Options { session: Some(2), format: Format::Jsonl, ..Options::default() }), 1);
}

#[test]
fn the_timeline_is_a_table() {
    let options = Options { timeline: true, ..Options::default() };
    let (text, _) = report(options, vec![failed()], &taps());
    let table: Vec<&str> = text.lines().skip_while(|line| !line.contains("event")).collect();
    assert_eq!(
        table[..10],
        [
            "  time       gap        server.pcap         event",
            "  ---------------------------------------------------------------------------------------------",
            "  +0.000000                       1  <-  C  220 (vsFTPd 2.2.2)",
            "  +0.001000  +0.001000            2  ->  C  USER anonymous",
            "  +0.002000  +0.001000            3  <-  C  230 Login successful.",
            "  +0.003000  +0.001000            4  ->  C  PORT 172,16,0,99,192,8",
            "  +0.004000  +0.001000            5  <-  C  200 PORT command successful. Consider using PASV.",
            "  +0.005000  +0.001000            6  ->  C  STOR ./testfile02",
            "  +0.006000  +0.001000            7  <-  C  425 Failed to establish connection.",
            "  +0.007000  +0.001000            8  <-  D  SYN 172.16.0.10:20 > 172.16.0.99:49160",
        ]
    );
}

#[test]
fn colors_tell_control_from_data() {
    let options = Options { timeline: true, color: true, ..Options::default() };
    let (text, _) = report(options, vec![failed()], &taps());
    let row = |what: &str| text.lines().rev().find(|line| line.contains(what)).unwrap().to_owned();
    assert!(row("USER anonymous").starts_with("\x1b[34m"));
    assert!(row("SYN 172.16.0.10:20").starts_with("\x1b[31m"));
    assert!(text.starts_with("\x1b[1;31m✗\x1b[0m"));
}

#[test]
fn nothing_hostile_reaches_the_terminal() {
    let (mut talk, mut judgement) = failed();
    let command = talk.command_bytes(b"STOR \x1b]0;x\x07\xff");
    talk.view.transfers[0].command = Some(command);
    let user = talk.command_bytes("USER \u{202e}\u{9b}31m".as_bytes());
    talk.view.user = Some(user);
    talk.reply(200, "200 \x1b[2J");
    if let Some(verdict) = &mut judgement.transfers[0].1 {
        verdict.finding.evidence[0].text = Text::verbatim("server: \x1b[2J\r");
        verdict.finding.notes[0] = Text::verbatim("\x08");
        verdict.remedies[0].commands[0].1 = "rm \x1b".to_owned();
    }
    let options = Options { timeline: true, width: Some(60), ..Options::default() };
    let (text, _) = report(options, vec![(talk, judgement)], &[tap("a\x1bb")]);
    let harmful = |char: char| char != '\n' && (char.is_control() || char == '\u{202e}');
    assert!(!text.contains(harmful), "{text:?}");
    for shown in [r"STOR \x1b]0;x\x07\xff", r"\u{202e}\u{9b}31m", r"a\x1bb:4", r"server: \x1b[2J\r", r"rm \x1b"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
}

#[test]
fn sentences_are_broken_at_the_width() {
    let options = Options { width: Some(60), ..Options::default() };
    let (text, _) = report(options, vec![failed()], &taps());
    let sentence: Vec<&str> = text.lines().skip(1).take_while(|line| !line.is_empty()).collect();
    assert_eq!(
        sentence,
        [
            "                                      O5 data-syn-unanswered",
            "  Something between the client and the capture point",
            "  server.pcap dropped the server's data connection: the",
            "  path, or the client's own firewall. [likely]",
        ]
    );
}

fn control(outcome: ControlOutcome, verdict: Verdict) -> Judgement {
    Judgement { control: (outcome, Some(verdict)), transfers: Vec::new() }
}

#[test]
fn a_control_connection_that_failed_has_its_own_block() {
    let stretch = Stretch { from: Point::Tap(0), to: Point::Server };
    let mut found = verdict("C1", Mechanism::SilentDrop, Some(Lost::ControlSyn), Some(stretch));
    found.owner = Owner::Server;
    let mut talk = Talk::new();
    talk.view.server.port = 2121;
    let (text, totals) = report(Options::default(), vec![(talk, control(ControlOutcome::Failed, found))], &taps());
    let start = "\
✗ control connection   172.16.0.99 -> 172.16.0.10 port 2121   C1 control-syn-unanswered
  The server's own host dropped the client's control connection: its firewall, most likely; a full accept queue of its program looks the same. [likely]
";
    assert!(text.starts_with(start), "{text}");
    assert!(text.ends_with("\n1 session, 0 transfers: 1 control connection failed (server's side 1)\n"), "{text}");
    assert_eq!((totals.failed_control, totals.failed_sessions), (1, 1));
}

#[test]
fn a_session_that_the_server_turned_away_has_failed() {
    let found = verdict("C13", Mechanism::RefusedByServer, None, None);
    let judgement = control(ControlOutcome::Failed, found);
    let (text, totals) = report(Options::default(), vec![(Talk::new(), judgement)], &taps());
    let start = "\
✗ control connection   172.16.0.99 -> 172.16.0.10   C13 control-turned-away
  The server itself turned the session away. No firewall is to blame. [likely]
";
    assert!(text.starts_with(start), "{text}");
    assert_eq!(totals.failed_sessions, 1);
}

#[test]
fn an_encrypted_session_without_data_is_shown_as_undecided() {
    let found = verdict("V8", Mechanism::Encrypted, None, Some(Stretch::WHOLE));
    let judgement = control(ControlOutcome::Completed, found);
    let (text, totals) = report(Options::default(), vec![(Talk::new(), judgement)], &taps());
    let start = "? encrypted session   172.16.0.99 -> 172.16.0.10   no transfer seen   V8 encrypted-no-data\n";
    assert!(text.starts_with(start), "{text}");
    assert_eq!(totals.failed_sessions, 0);
}

#[test]
fn one_cause_is_told_once() {
    let found = || verdict("C7", Mechanism::SilentDrop, Some(Lost::ControlSegments), Some(Stretch::WHOLE));
    let judgement = Judgement {
        control: (ControlOutcome::Interrupted, Some(found())),
        transfers: vec![(Outcome::Failed, Some(found()))],
    };
    let (text, totals) = report(Options::default(), vec![(Talk::active(), judgement)], &taps());
    assert_eq!(text.matches("C7 control-segments-lost").count(), 1);
    assert_eq!(totals.failed_control, 0);
}

#[test]
fn the_end_tells_what_is_wrong_with_the_captures() {
    let mut taps = taps();
    taps[0].lost = 3;
    taps[0].census.displaced = 1;
    let (text, _) = report(Options::default(), Vec::new(), &taps);
    assert_eq!(
        text,
        "\
server.pcap: the capture itself lost 3 packets; what it misses proves nothing
server.pcap: 1 session given up before the end, since too many were alive at once
0 sessions, 0 transfers
no FTP session was found; if the server listens on another port than 21 or 990, add --control-port PORT (other ports are known by the server's greeting alone)
"
    );
}

#[test]
fn a_report_of_nothing_says_why() {
    let last = |options, taps: &[TapFacts]| report(options, Vec::new(), taps).0.lines().last().unwrap().to_owned();
    assert_eq!(last(Options::default(), &[TapFacts::default()]), "no packet was read");
    let asked = "no session is the one that --session or --host asks for";
    assert_eq!(last(Options { session: Some(3), ..Options::default() }, &taps()), asked);
    assert_eq!(last(Options { host: "192.0.2.1".parse().ok(), ..Options::default() }, &taps()), asked);
}

/// Three times the same transfer, and the same failure.
fn failed_thrice(number: u64) -> (Talk, Judgement) {
    let mut talk = Talk::active();
    let mut judgement = judged(Outcome::Failed, Some(unanswered()));
    talk.view.number = number;
    for _ in 0..2 {
        talk.view.transfers.push(talk.view.transfers[0].clone());
        judgement.transfers.push((Outcome::Failed, Some(unanswered())));
    }
    (talk, judgement)
}

#[test]
fn failures_that_are_alike_are_told_once() {
    let sessions = || (1..6).map(failed_thrice).collect();
    let (text, totals) = report(Options::default(), sessions(), &taps());
    assert_eq!(text.matches("O5 data-syn-unanswered").count(), 1, "{text}");
    assert!(
        text.contains("\n  And 2 more transfers of this session failed the same way: #2, #3\n\n  session 1"),
        "{text}"
    );
    let end = "
172.16.0.99 -> 172.16.0.10: 12 more failed transfers, as in session 1 (O5), in sessions 2-5; --session N shows one
5 sessions, 15 transfers: 15 failed (client's side or network 15)
";
    assert!(text.ends_with(end), "{text}");
    assert_eq!(totals.ended(Outcome::Failed), 15);
    let (text, _) = report(Options { timeline: true, ..Options::default() }, sessions(), &taps());
    assert_eq!(text.matches("O5 data-syn-unanswered").count(), 15);
    let (text, _) = report(Options { session: Some(2), ..Options::default() }, sessions(), &taps());
    assert_eq!(text.matches("O5 data-syn-unanswered").count(), 3);
}

#[test]
fn another_stretch_another_client_and_another_direction_are_told_for_themselves() {
    let other = |change: fn(&mut Talk, &mut Verdict)| {
        let (mut talk, mut judgement) = failed();
        talk.view.number = 2;
        change(&mut talk, judgement.transfers[0].1.as_mut().unwrap());
        report(Options::default(), vec![failed(), (talk, judgement)], &taps()).0.matches("✗ STOR").count()
    };
    assert_eq!(other(|_, _| ()), 1);
    assert_eq!(other(|_, verdict| verdict.finding.stretch = Some(Stretch::WHOLE)), 2);
    assert_eq!(other(|talk, _| talk.view.client.ip = "172.16.0.98".parse().unwrap()), 2);
    assert_eq!(other(|talk, _| talk.view.transfers[0].negotiation.as_mut().unwrap().mode = Mode::Pasv), 2);
}

#[test]
fn json_is_one_array_and_jsonl_an_object_a_line() {
    let json = |format, sessions| report(Options { format, ..Options::default() }, sessions, &taps()).0;
    for sessions in [vec![], vec![failed()], vec![failed(), completed()]] {
        let count = sessions.len();
        let array: serde_json::Value = serde_json::from_str(&json(Format::Json, sessions)).unwrap();
        assert_eq!(array.as_array().unwrap().len(), count);
    }
    let lines = json(Format::Jsonl, vec![failed(), completed()]);
    assert_eq!(lines.lines().count(), 2);
    assert!(lines.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["schema"].is_string()));
}

#[test]
fn a_packet_that_several_taps_saw_is_one_row() {
    let mut far = Talk::active();
    far.attempt();
    let moments = far.view.log.iter_mut().map(|event| &mut event.at);
    let later = |at: &mut At| at.time = at.time.plus(std::time::Duration::from_secs(5));
    moments.chain([&mut far.view.began, &mut far.view.last_at]).for_each(later);
    let near = Talk::active();
    let given = [Placing::Given(Place::Client), Placing::Given(Place::Server)];
    let session = join(vec![vec![near.view.into()], vec![far.view.into()]], &given).remove(0);
    let taps = [tap("c.pcap"), TapFacts { capture: 1, ..tap("s.pcap") }];
    let mut out = Vec::new();
    let mut reporter = Reporter::new(&mut out, Options { timeline: true, ..Options::default() });
    reporter.session(&session, &judged(Outcome::Failed, Some(unanswered())), &taps).unwrap();
    let text = String::from_utf8(out).unwrap();
    let table: Vec<&str> = text.lines().skip_while(|line| !line.contains("event")).collect();
    assert_eq!(table[0], "  time       gap        c.pcap  s.pcap         event");
    assert_eq!(table[7], "  +0.005000  +0.001000       6       6  ->  C  STOR ./testfile02");
    assert_eq!(table[8], "  +0.006000  +0.001000       7       7  <-  C  425 Failed to establish connection.");
    assert_eq!(table[9], "  +0.007000  +0.001000               8  <-  D  SYN 172.16.0.10:20 > 172.16.0.99:49160");
    assert!(text.contains("c.pcap's clock is 5.000 s behind s.pcap's"), "{text}");
}
