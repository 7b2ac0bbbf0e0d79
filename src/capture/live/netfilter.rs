//! What netfilter of this host tells while a capture runs: which packets it dropped, and by which rule.

use std::fs;
use std::io;

use super::keeper::{Keeper, KeeperError, Request};
use super::nflog::Nflog;
use super::tracer::Tracer;
use crate::cite::Time;
use crate::netfilter::Dropped;
use crate::netfilter::ruleset::Ruleset;
use crate::netfilter::table::Traced;

/// The trace of this host's netfilter, under way. Whatever was set up for it ends with it.
pub struct Netfilter {
    keeper: Keeper,
    tracer: Tracer,
    /// The older iptables, where the kernel has tables of it.
    nflog: Option<Nflog>,
    /// The rules as they were when they were last asked for.
    rules: Ruleset,
    dropped: Vec<Dropped>,
    /// How many of `dropped` have the place and the text of their rule.
    resolved: usize,
}

/// Drops that are kept; of more, the oldest go. A failing transfer makes about ten.
const MAX_DROPPED: usize = 4096;

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
        Ok((Netfilter { keeper, tracer, nflog, rules, dropped: Vec::new(), resolved: 0 }, absent))
    }

    /// Takes what has come; `now` is its time.
    ///
    /// # Errors
    /// A socket fails.
    pub fn read(&mut self, now: Time) -> io::Result<()> {
        self.tracer.read(now, &mut self.dropped)?;
        if let Some(nflog) = &mut self.nflog {
            nflog.read(now, &self.rules, &mut self.dropped)?;
        }
        let excess = self.dropped.len().saturating_sub(MAX_DROPPED);
        self.dropped.drain(..excess);
        self.resolved = self.resolved.saturating_sub(excess);
        Ok(())
    }

    /// All drops with the place and the text of their rules, if there are new ones. Handles and positions start anew when a
    /// table is loaded again: a rule that is not the same before and after the drop is left without both.
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
            if let Some(rule) = after.filter(|rule| before.as_ref() == Some(rule)) {
                dropped.rule = rule;
            }
        }
        self.rules = rules;
        self.resolved = self.dropped.len();
        Ok(Some(&self.dropped))
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

fn log(keeper: &mut Keeper) -> Result<Nflog, String> {
    let nflog = Nflog::open().map_err(|why| format!("{why}; rules of iptables-legacy are not named"))?;
    keeper.ask(Request::Log).map_err(|why: KeeperError| why.to_string())?;
    Ok(nflog)
}
