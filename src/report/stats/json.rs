//! The counts for programs: one object, schema `ftpwhy.stats/1`.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::report::names;
use crate::report::stats::{Peers, Stats, Tally};
use crate::report::totals::{OUTCOMES, OWNERS};

pub(super) fn json(stats: &Stats) -> String {
    let totals = &stats.totals;
    let outcomes = OUTCOMES.map(|outcome| (names::outcome(outcome).to_owned(), totals.ended(outcome).into()));
    let sides = OWNERS.map(|owner| (names::owner(owner).to_owned(), totals.blamed(owner).into()));
    let rules = stats.ranked_rules().into_iter();
    let rules = rules.map(|(rule, failures)| json!({"rule": rule.id, "name": rule.name, "failures": failures}));
    let ports = stats.passive().into_iter().map(|server| {
        let ranges = server.ranges.iter().map(|range| {
            let (worked, failed) = (range.openings.worked, range.openings.failed);
            json!({"first": range.first, "last": range.last, "worked": worked, "failed": failed})
        });
        json!({"server": server.ip, "ranges": ranges.collect::<Value>()})
    });
    let object = json!({
        "schema": "ftpwhy.stats/1",
        "sessions": totals.sessions,
        "failed_sessions": totals.failed_sessions,
        "failed_control": totals.failed_control,
        "transfers": totals.transfers,
        "outcomes": Map::from_iter(outcomes),
        "sides": Map::from_iter(sides),
        "rules": rules.collect::<Value>(),
        "servers": peers(&stats.servers),
        "clients": peers(&stats.clients),
        "passive_ports": ports.collect::<Value>(),
        "further_openings": stats.further,
    });
    format!("{object}\n")
}

/// The hosts, and those that were not kept apart, whose address is null.
fn peers(peers: &Peers) -> Value {
    let further = (peers.further != Tally::default()).then_some((None, peers.further));
    let kept = peers.ranked().into_iter().map(|(ip, tally)| (Some(ip), tally));
    kept.chain(further).map(|(ip, tally)| peer(ip, tally)).collect()
}

fn peer(ip: Option<IpAddr>, Tally { transfers, failed, completed, failed_control }: Tally) -> Value {
    json!({"ip": ip, "transfers": transfers, "failed": failed, "completed": completed, "failed_control": failed_control})
}
