#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::report::testing::{Talk, judged, verdict};
use crate::session::view::Mode;
use crate::verdict::Mechanism;

/// A transfer to a passive port of 172.16.0.10, as it ended, and the packet that was lost.
fn passive(stats: &mut Stats, port: u16, outcome: Outcome, lost: Option<Lost>) {
    let mut talk = Talk::active();
    let negotiation = talk.view.transfers[0].negotiation.as_mut().unwrap();
    negotiation.mode = Mode::Pasv;
    let offered = negotiation.offered.as_mut().unwrap();
    (offered.address, offered.port) = (None, port);
    let found = verdict(if lost.is_some() { "O5" } else { "T6" }, Mechanism::SilentDrop, lost, None);
    let found = (outcome == Outcome::Failed).then_some(found);
    stats.add(&talk.session(), &judged(outcome, found));
}

/// A firewall that opens the first half of a range.
fn half_open() -> Stats {
    let mut stats = Stats::default();
    for port in 50000..50100 {
        passive(&mut stats, port, Outcome::Completed, None);
    }
    for port in 50100..50150 {
        passive(&mut stats, port, Outcome::Failed, Some(Lost::DataSyn));
    }
    stats
}

#[test]
fn a_range_that_is_open_in_part_is_seen_at_a_glance() {
    assert_eq!(
        half_open().text(Language::English, false),
        "\
150 sessions, 150 transfers: 50 failed (nobody's firewall 50), 100 completed

Failures by rule
  O5 data-syn-unanswered       50   The SYN of the data connection is never answered.

Transfers by server
  172.16.0.10   150 transfers   50 failed, 100 completed

Transfers by client
  172.16.0.99   150 transfers   50 failed, 100 completed

Passive ports of 172.16.0.10
  50000-50099   ########################################   100 worked
  50100-50149   xxxxxxxxxxxxxxxxxxxx                       50 failed
"
    );
    let japanese = half_open().text(Language::Japanese, true);
    assert!(japanese.contains("172.16.0.10 のパッシブポート"), "{japanese}");
    assert!(japanese.contains(&format!("\x1b[1;31m{}\x1b[0m", "✗".repeat(20))), "{japanese}");
}

#[test]
fn programs_get_the_same_counts() {
    let object: Value = half_open().json().parse().unwrap();
    assert_eq!(object["schema"], "ftpwhy.stats/1");
    assert_eq!(object["outcomes"]["failed"], 50);
    assert_eq!(object["sides"]["none"], 50);
    assert_eq!(object["rules"], json!([{"rule": "O5", "name": "data-syn-unanswered", "failures": 50}]));
    let server = json!([{"ip": "172.16.0.10", "transfers": 150, "failed": 50, "completed": 100, "failed_control": 0}]);
    assert_eq!(object["servers"], server);
    let ranges = json!([{"first": 50000, "last": 50099, "worked": 100, "failed": 0},
        {"first": 50100, "last": 50149, "worked": 0, "failed": 50}]);
    assert_eq!(object["passive_ports"], json!([{"server": "172.16.0.10", "ranges": ranges}]));
}

#[test]
fn what_does_not_tell_of_a_port_counts_for_none() {
    let mut stats = Stats::default();
    passive(&mut stats, 50000, Outcome::Failed, None);
    passive(&mut stats, 50000, Outcome::Unknown, None);
    let talk = Talk::active();
    stats.add(&talk.session(), &judged(Outcome::Completed, None));
    assert!(stats.ports.is_empty(), "a refusal, a transfer that was not captured, and active mode");
    assert_eq!(stats.totals().transfers, 3);
}

#[test]
fn memory_is_bounded_and_nothing_goes_uncounted() {
    let mut peers = Peers::default();
    for number in 0..MAX_PEERS as u32 + 10 {
        peers.of(IpAddr::from(number.to_be_bytes())).transfers += 1;
    }
    assert_eq!((peers.kept.len(), peers.further.transfers), (MAX_PEERS, 10));
    let mut stats = Stats::default();
    for server in 0..3u8 {
        (0..=u16::MAX).for_each(|port| stats.open((IpAddr::from([10, 0, 0, server]), port), true));
    }
    assert_eq!((stats.ports.len(), stats.further), (MAX_PORTS, 2 << 16));
}
