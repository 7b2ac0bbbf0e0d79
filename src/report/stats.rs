//! Sums over all sessions, by rule, server, client and passive port: a range of ports that a firewall opens in part only is
//! seen at a glance.

mod json;
mod markup;
mod ports;
mod text;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use maud::Markup;

use crate::language::Language;
use crate::line::Side;
use crate::report::facts::{self, Fate};
use crate::report::totals::{Totals, control_failure};
use crate::session::join::Session;
use crate::verdict::{Case, Judgement, Lost, Outcome, Rule, Verdict};
use ports::{Openings, Range, ranges};

/// Servers, and clients, that are kept apart; further ones are counted together.
const MAX_PEERS: usize = 4096;

/// Passive ports that are kept, of all servers together; a few bytes each.
const MAX_PORTS: usize = 1 << 16;

/// What was counted. Its memory is bounded, however many sessions there are.
#[derive(Default)]
pub struct Stats {
    totals: Totals,
    /// Failures by the rule that explains them, by its id.
    rules: BTreeMap<&'static str, (&'static Rule, u64)>,
    servers: Peers,
    clients: Peers,
    ports: HashMap<(IpAddr, u16), Openings>,
    /// Openings to ports that are not kept.
    further: u64,
}

/// What became of the transfers of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    transfers: u64,
    failed: u64,
    completed: u64,
    /// Control connections that failed.
    failed_control: u64,
}

impl Tally {
    fn add(&mut self, judgement: &Judgement) {
        let ended = |one: Outcome| judgement.transfers.iter().filter(|(outcome, _)| *outcome == one).count() as u64;
        self.transfers += judgement.transfers.len() as u64;
        self.failed += ended(Outcome::Failed);
        self.completed += ended(Outcome::Completed);
        self.failed_control += u64::from(control_failure(judgement).is_some());
    }

    fn sum(self, other: Tally) -> Tally {
        Tally {
            transfers: self.transfers + other.transfers,
            failed: self.failed + other.failed,
            completed: self.completed + other.completed,
            failed_control: self.failed_control + other.failed_control,
        }
    }
}

/// Hosts, each with its own tally, as far as they are kept.
#[derive(Default)]
struct Peers {
    kept: HashMap<IpAddr, Tally>,
    /// Of those that are not kept.
    further: Tally,
}

impl Peers {
    fn of(&mut self, ip: IpAddr) -> &mut Tally {
        if self.kept.len() == MAX_PEERS && !self.kept.contains_key(&ip) {
            return &mut self.further;
        }
        self.kept.entry(ip).or_default()
    }

    /// Those that most went wrong with come first.
    fn ranked(&self) -> Vec<(IpAddr, Tally)> {
        let mut ranked: Vec<(IpAddr, Tally)> = self.kept.iter().map(|(ip, tally)| (*ip, *tally)).collect();
        ranked.sort_by_key(|(ip, tally)| {
            (std::cmp::Reverse((tally.failed + tally.failed_control, tally.transfers)), *ip)
        });
        ranked
    }
}

/// The passive ports of a server, from the lowest.
struct Server {
    ip: IpAddr,
    ranges: Vec<Range>,
}

impl Stats {
    /// Adds a session and what was judged of it.
    pub fn add(&mut self, session: &Session, judgement: &Judgement) {
        let view = session.main();
        self.totals.add(judgement);
        self.servers.of(view.server.ip).add(judgement);
        self.clients.of(view.client.ip).add(judgement);
        let failed = judgement.transfers.iter().filter(|(outcome, _)| *outcome == Outcome::Failed);
        let verdicts = failed.filter_map(|(_, verdict)| verdict.as_ref()).chain(control_failure(judgement));
        for Verdict { rule, .. } in verdicts {
            self.rules.entry(rule.id).or_insert((rule, 0)).1 += 1;
        }
        for (index, judged) in judgement.transfers.iter().enumerate() {
            let case = Case { session, taps: &[], transfer: Some(index) };
            if let Some((port, worked)) = opening(&case, judged) {
                self.open((view.server.ip, port), worked);
            }
        }
    }

    fn open(&mut self, port: (IpAddr, u16), worked: bool) {
        if self.ports.len() == MAX_PORTS && !self.ports.contains_key(&port) {
            self.further += 1;
            return;
        }
        self.ports.entry(port).or_default().add(worked);
    }

    /// What was counted altogether.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The counts for people, on a terminal that wants `color` or not.
    pub fn text(&self, language: Language, color: bool) -> String {
        text::text(self, language, color)
    }

    /// The passive ports as a part of the page.
    pub(super) fn ports(&self, language: Language) -> Markup {
        markup::ports(self, language)
    }

    /// The counts as one JSON object, `ftpwhy.stats/1`.
    pub fn json(&self) -> String {
        json::json(self)
    }

    /// Rules that explain failures, the most frequent first.
    fn ranked_rules(&self) -> Vec<(&'static Rule, u64)> {
        let mut ranked: Vec<(&'static Rule, u64)> = self.rules.values().copied().collect();
        ranked.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        ranked
    }

    /// The passive ports of every server. Those that most were tried of come first.
    fn passive(&self) -> Vec<Server> {
        let mut ports: Vec<((IpAddr, u16), Openings)> =
            self.ports.iter().map(|(port, tried)| (*port, *tried)).collect();
        ports.sort_by_key(|(port, _)| *port);
        let servers = ports.chunk_by(|((one, _), _), ((next, _), _)| one == next).map(|ports| {
            let of_server: Vec<(u16, Openings)> = ports.iter().map(|((_, port), tried)| (*port, *tried)).collect();
            Server { ip: ports[0].0.0, ranges: ranges(&of_server) }
        });
        let mut servers: Vec<Server> = servers.collect();
        let tried = |server: &Server| server.ranges.iter().map(|range| range.openings.tried()).sum::<u64>();
        servers.sort_by_key(|server| std::cmp::Reverse(tried(server)));
        servers
    }
}

/// The passive port of a transfer, and whether the data connection to it could be opened; none if nothing tells.
fn opening(case: &Case<'_>, (outcome, verdict): &(Outcome, Option<Verdict>)) -> Option<(u16, bool)> {
    let data = facts::data_connection(case).filter(|data| data.opener == Side::Client)?;
    let negotiated = case.negotiation().and_then(|negotiation| facts::endpoint(case.view(), negotiation));
    let port = negotiated.or(data.destination)?.port;
    let lost = verdict.as_ref().and_then(|verdict| verdict.finding.lost);
    match (outcome, data.result, lost) {
        (Outcome::Completed, ..) | (_, Fate::Established, _) => Some((port, true)),
        (Outcome::Failed, _, Some(Lost::DataSyn | Lost::DataSynAck)) => Some((port, false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
