//! What netfilter of this host tells while a capture runs: which packets it dropped, and by which rule.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::keeper::{Keeper, KeeperError, Request};
use super::nflog::Nflog;
use super::tracer::Tracer;
use crate::cite::Time;
use crate::netfilter::ruleset::Ruleset;
use crate::netfilter::table::Traced;
use crate::netfilter::{Dropped, Family, Rule, Tool};
use crate::packet::Endpoint;

/// The trace of this host's netfilter, under way. Whatever was set up for it ends with it.
pub struct Netfilter {
    keeper: Keeper,
    tracer: Tracer,
    /// The older iptables, where the kernel has tables of it.
    nflog: Option<Nflog>,
    /// The rules as they were when they were last asked for.
    rules: Arc<Ruleset>,
    /// Those of the older iptables, as they were at `asked`.
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

/// What the trace is for, where it cannot be had.
const WITHOUT: &str = "without the trace, the rule that drops a packet on this host is not named";

impl Netfilter {
    /// Starts the trace. Beside it, a line for everything that cannot be had.
    ///
    /// # Errors
    /// Why there is no trace at all, in words.
    pub fn trace(traced: &Traced) -> Result<(Netfilter, Vec<String>), String> {
        let failed = |why: &dyn ToString| format!("{}; {WITHOUT}", why.to_string());
        let tracer = Tracer::open().map_err(|why| failed(&why))?;
        let program = std::env::current_exe().map_err(|why| failed(&why))?;
        let mut keeper = Keeper::start(&program, traced).map_err(|why| failed(&why))?;
        let mut absent = Vec::new();
        let nflog = older_tables().then(|| log(&mut keeper)).transpose().unwrap_or_else(|why| {
            absent.push(why);
            None
        });
        keeper.ask(Request::Trace).map_err(|why| failed(&why))?;
        let (rules, missing) = keeper.ruleset().map_err(|why| failed(&why))?;
        absent.extend(missing);
        let netfilter = Netfilter {
            keeper,
            tracer,
            nflog,
            rules: Arc::new(rules),
            older: Ruleset::default(),
            asked: Time::default(),
            dropped: Vec::new(),
            resolved: 0,
            followed: HashSet::new(),
        };
        Ok((netfilter, absent))
    }

    /// Has these listeners traced, too, whoever connects to them; those that are not among them any more end by themselves.
    ///
    /// # Errors
    /// The helper has ended, or its trace.
    pub fn follow(&mut self, listeners: HashSet<Endpoint>) -> Result<(), KeeperError> {
        for &listener in listeners.difference(&self.followed) {
            self.keeper.ask(Request::Follow(listener))?;
        }
        self.followed = listeners;
        Ok(())
    }

    /// Takes what has come; `now` is its time.
    ///
    /// # Errors
    /// A socket fails, or the helper has ended.
    pub fn read(&mut self, now: Time) -> io::Result<()> {
        self.tracer.read(now, &mut self.dropped)?;
        if let Some(nflog) = &mut self.nflog {
            if self.asked.until(now) >= FRESH && is_readable(nflog)? {
                (self.older, self.asked) = (older_rules(&mut self.keeper)?, now);
            }
            nflog.read(now, &self.older, &mut self.dropped)?;
        }
        let excess = self.dropped.len().saturating_sub(MAX_DROPPED);
        self.dropped.drain(..excess);
        self.resolved = self.resolved.saturating_sub(excess);
        Ok(())
    }

    /// All drops with the place and the text of their rules, if there are new ones. Handles and positions start anew when a
    /// table is loaded again: one that is another rule after the drop than before is left without both.
    ///
    /// # Errors
    /// The helper has ended.
    pub fn news(&mut self) -> io::Result<Option<&[Dropped]>> {
        if self.resolved == self.dropped.len() {
            return Ok(None);
        }
        let (rules, _) = self.keeper.ruleset()?;
        for dropped in &mut self.dropped[self.resolved..] {
            let (before, after) = (self.rules.resolve(&dropped.rule), rules.resolve(&dropped.rule));
            let is_same = |rule: &Rule| before.as_ref().is_none_or(|before| before == rule);
            if let Some(rule) = after.filter(is_same) {
                dropped.rule = rule;
            }
        }
        self.rules = Arc::new(rules);
        self.resolved = self.dropped.len();
        Ok(Some(&self.dropped))
    }

    /// The rules as they were when they were last asked for.
    pub fn rules(&self) -> Arc<Ruleset> {
        Arc::clone(&self.rules)
    }

    /// Messages of the kernel that were lost.
    pub fn overruns(&self) -> u64 {
        self.tracer.overruns() + self.nflog.as_ref().map_or(0, Nflog::overruns)
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
