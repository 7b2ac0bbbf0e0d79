//! What netfilter of this host tells while a capture runs: its rules, and by which of them packets are dropped.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Interface;
use super::keeper::{Keeper, KeeperError, Request};
use super::nflog::Nflog;
use super::rules::{Rules, is_list};
use super::tracer::Tracer;
use crate::cite::Time;
use crate::netfilter::ruleset::Ruleset;
use crate::netfilter::table::Traced;
use crate::netfilter::{Dropped, Family, Rule, Tool};
use crate::packet::Endpoint;
use crate::verdict::Host;

/// Netfilter of this host: its rules as they are listed, and the trace if it is under way. Whatever was set up ends with it.
pub struct Netfilter {
    rules: Rules,
    trace: Option<Trace>,
}

/// A trace that is under way.
struct Trace {
    tracer: Tracer,
    /// The older iptables, where the kernel has tables of it.
    nflog: Option<Nflog>,
    /// Its rules, as they were at `asked`.
    older: Ruleset,
    asked: Time,
    dropped: Vec<Dropped>,
    /// How many of `dropped` have the place and the text of their rule.
    resolved: usize,
    /// Listeners that are followed by their own address.
    followed: HashSet<Endpoint>,
}

/// Drops that are kept; of more, the oldest go. A failing transfer makes about ten.
const MAX_DROPPED: usize = 4096;

/// The lines of the older iptables name a rule by its position, and nothing tells that rules have changed: while lines come,
/// the rules that they are read by are not older than this.
const FRESH: Duration = Duration::from_secs(1);

/// What the rules are for, where they cannot be had.
const WITHOUT_RULES: &str = "without its rules, only the hook is told at which this host drops a packet";
/// What the trace is for, where it cannot be had.
const WITHOUT_TRACE: &str = "without the trace, the rule that drops a packet on this host is not named";

impl Netfilter {
    /// Begins to list the rules, and to trace if that is wanted; none if neither can be had. Beside it, a line for everything
    /// that cannot be had.
    pub fn open(
        traced: &Traced,
        is_traced: bool,
        now: impl Fn() -> Time,
        interfaces: &[Interface],
    ) -> (Option<Netfilter>, Vec<String>) {
        let mut absent = Vec::new();
        let start = || -> Result<Netfilter, String> {
            let mut rules = Rules::start(traced, interfaces).map_err(|why| why.to_string())?;
            let trace = is_traced.then(|| Trace::start(&mut rules.keeper, &mut absent));
            let trace = trace.transpose().unwrap_or_else(|why| {
                absent.push(format!("{why}; {WITHOUT_TRACE}"));
                None
            });
            let missing = rules.list(now).map_err(|why| why.to_string())?;
            match trace {
                Some(_) => absent.extend(missing),
                None => missing.into_iter().find(|why| is_list(why)).map_or(Ok(()), Err)?,
            }
            Ok(Netfilter { rules, trace })
        };
        let started = start();
        let netfilter = started.map_err(|why| absent.push(format!("{why}; {WITHOUT_RULES}"))).ok();
        (netfilter, absent)
    }

    /// Has these listeners traced, too, whoever connects to them; those that are not among them any more end by themselves.
    ///
    /// # Errors
    /// The helper has ended, or its trace.
    pub fn follow(&mut self, listeners: HashSet<Endpoint>) -> Result<(), KeeperError> {
        let Some(trace) = &mut self.trace else { return Ok(()) };
        for &listener in listeners.difference(&trace.followed) {
            self.rules.keeper.ask(Request::Follow(listener))?;
        }
        trace.followed = listeners;
        Ok(())
    }

    /// Takes what the trace has told; `now` is its time.
    ///
    /// # Errors
    /// A socket fails, or the helper has ended.
    pub fn read(&mut self, now: Time) -> io::Result<()> {
        self.trace.as_mut().map_or(Ok(()), |trace| trace.read(now, &mut self.rules.keeper))
    }

    /// Lists the rules again if the trace has told of a drop, or if they were not listed since `needed`; true if so.
    ///
    /// # Errors
    /// They cannot be had any more, in a line.
    pub fn refresh(&mut self, needed: Time, now: impl Fn() -> Time) -> Result<bool, String> {
        let Some(trace) = self.trace.as_mut().filter(|trace| trace.resolved < trace.dropped.len()) else {
            return self.rules.refresh(needed, now);
        };
        let before = self.rules.latest();
        self.rules.list(now).map_err(|why| why.to_string())?;
        trace.resolve(&before, &self.rules.latest());
        Ok(true)
    }

    /// What was dropped according to the trace, with the places and the texts of the rules as they were last listed.
    pub fn dropped(&self) -> &[Dropped] {
        self.trace.as_ref().map_or(&[], |trace| &trace.dropped)
    }

    /// The rules as they were when they were last asked for.
    pub fn rules(&self) -> Arc<Ruleset> {
        self.rules.latest()
    }

    /// This host, with the rules that were listed so far.
    pub fn host(&self) -> Arc<Host> {
        self.rules.host()
    }

    /// Messages of the kernel that were lost.
    pub fn overruns(&self) -> u64 {
        let of = |trace: &Trace| trace.tracer.overruns() + trace.nflog.as_ref().map_or(0, Nflog::overruns);
        self.trace.as_ref().map_or(0, of)
    }
}

impl Trace {
    /// Starts it. Adds a line if it tells nothing of the older iptables.
    fn start(keeper: &mut Keeper, absent: &mut Vec<String>) -> Result<Trace, String> {
        let tracer = Tracer::open().map_err(|why| why.to_string())?;
        let nflog = older_tables().then(|| log(keeper)).transpose().unwrap_or_else(|why| {
            absent.push(why);
            None
        });
        keeper.ask(Request::Trace).map_err(|why| why.to_string())?;
        Ok(Trace {
            tracer,
            nflog,
            older: Ruleset::default(),
            asked: Time::default(),
            dropped: Vec::new(),
            resolved: 0,
            followed: HashSet::new(),
        })
    }

    fn read(&mut self, now: Time, keeper: &mut Keeper) -> io::Result<()> {
        self.tracer.read(now, &mut self.dropped)?;
        if let Some(nflog) = &mut self.nflog {
            if self.asked.until(now) >= FRESH && is_readable(nflog)? {
                (self.older, self.asked) = (older_rules(keeper)?, now);
            }
            nflog.read(now, &self.older, &mut self.dropped)?;
        }
        let excess = self.dropped.len().saturating_sub(MAX_DROPPED);
        self.dropped.drain(..excess);
        self.resolved = self.resolved.saturating_sub(excess);
        Ok(())
    }

    /// Gives the new drops the place and the text of their rules. Handles and positions start anew when a table is loaded
    /// again: one that is another rule after the drop than before is left without both.
    fn resolve(&mut self, before: &Ruleset, after: &Ruleset) {
        for dropped in &mut self.dropped[self.resolved..] {
            let then = before.resolve(&dropped.rule);
            let is_same = |rule: &Rule| then.as_ref().is_none_or(|then| then == rule);
            if let Some(rule) = after.resolve(&dropped.rule).filter(is_same) {
                dropped.rule = rule;
            }
        }
        self.resolved = self.dropped.len();
    }
}

/// The kernel has tables of the older iptables.
fn older_tables() -> bool {
    let names = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"];
    names.iter().any(|path| fs::read_to_string(path).is_ok_and(|names| !names.trim().is_empty()))
}

/// The rules of the older iptables as they are now.
fn older_rules(keeper: &mut Keeper) -> io::Result<Ruleset> {
    let mut rules = Ruleset::default();
    for (request, family) in [(Request::IptablesLegacy, Family::Ip), (Request::Ip6tablesLegacy, Family::Ip6)] {
        match keeper.ask(request) {
            Ok(text) => rules.add_iptables_save(&text, family, Tool::IptablesLegacy),
            Err(KeeperError::Refused(_)) => {}
            Err(KeeperError::Gone(error)) => return Err(error),
        }
    }
    Ok(rules)
}

fn is_readable(socket: &impl AsFd) -> io::Result<bool> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&now))? > 0)
}

fn log(keeper: &mut Keeper) -> Result<Nflog, String> {
    let nflog = Nflog::open().map_err(|why| format!("{why}; rules of iptables-legacy are not named"))?;
    keeper.ask(Request::Log).map_err(|why: KeeperError| why.to_string())?;
    Ok(nflog)
}
