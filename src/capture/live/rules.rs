//! The rules of this host while a capture runs, without the trace: listed at its start and when a transfer has failed.
//!
//! What was counted in between, and what the rules may do with a packet, is [`crate::verdict`]'s business.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Interface;
use super::keeper::Keeper;
use crate::cite::Time;
use crate::netfilter::evaluate::Device;
use crate::netfilter::table::Traced;
use crate::verdict::{Host, Listing};

/// The rules of this host, and the helper process that may read them.
pub struct Rules {
    keeper: Keeper,
    host: Arc<Host>,
}

/// Lists that are kept: the first, from before all that is seen, and the latest, of which a failure takes two.
const LISTS: usize = 4;
/// Between two lists at least: each takes some milliseconds, in which nothing else is done, and a list of very many rules more.
const SPACING: Duration = Duration::from_millis(250);
/// The kernel's switch that has helpers assigned by port (up to Linux 5).
const HELPERS: &str = "/proc/sys/net/netfilter/nf_conntrack_helper";
/// What the rules are for, where they cannot be had.
const WITHOUT: &str = "without its rules, only the hook is told at which this host drops a packet";
/// What is missing if only the words of iptables are: rules of nft say the same.
const WORDS_ONLY: &str = "in the words of iptables";

impl Rules {
    /// Lists the rules for the first time, at `now`.
    ///
    /// # Errors
    /// Why they cannot be had, in a line.
    pub fn open(now: impl Fn() -> Time, interfaces: &[Interface]) -> Result<Rules, String> {
        let failed = |why: &dyn ToString| format!("{}; {WITHOUT}", why.to_string());
        let program = std::env::current_exe().map_err(|why| failed(&why))?;
        // it is never asked for the trace
        let traced = Traced { control_ports: vec![21], passive_range: None };
        let keeper = Keeper::start(&program, &traced).map_err(|why| failed(&why))?;
        let mut rules = Rules { keeper, host: Arc::new(host(interfaces)) };
        match rules.list(now) {
            Ok(None) => Ok(rules),
            Ok(Some(why)) => Err(failed(&why)),
            Err(why) => Err(failed(&why)),
        }
    }

    /// This host, with what was listed so far.
    pub fn host(&self) -> Arc<Host> {
        Arc::clone(&self.host)
    }

    /// Lists them again if that was not done since `needed`; true if so.
    ///
    /// # Errors
    /// They cannot be had any more, in a line.
    pub fn refresh(&mut self, needed: Time, now: impl Fn() -> Time) -> Result<bool, String> {
        let is_fresh = |list: &Listing| needed < list.since || list.until.until(now()) < SPACING;
        if self.host.lists.last().is_some_and(is_fresh) {
            return Ok(false);
        }
        match self.list(now) {
            Ok(None) => Ok(true),
            Ok(Some(why)) => Err(why),
            Err(why) => Err(why.to_string()),
        }
    }

    /// Lists them; what of them cannot be had, if there is such.
    fn list(&mut self, now: impl Fn() -> Time) -> io::Result<Option<String>> {
        let since = now();
        let (rules, absent) = self.keeper.ruleset()?;
        let list = Listing { since, until: now(), rules: Arc::new(rules) };
        let host = Arc::make_mut(&mut self.host);
        if host.lists.len() == LISTS {
            host.lists.remove(1);
        }
        host.lists.push(list);
        Ok(absent.into_iter().find(|why| !why.contains(WORDS_ONLY)))
    }
}

/// This host without its rules.
pub fn host(interfaces: &[Interface]) -> Host {
    let mut outside = interfaces.iter().filter(|interface| interface.up && interface.name != "lo");
    let device = match (outside.next(), outside.next()) {
        (Some(only), None) => Device::Named(only.name.clone()),
        _ => Device::Outside,
    };
    let helpers = fs::read_to_string(HELPERS).is_ok_and(|value| value.trim() == "1");
    Host { addresses: Vec::new(), lists: Vec::new(), device, helpers }
}
