//! The rules of this host while a capture runs: listed at its start and when a transfer has failed.
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
use crate::netfilter::ruleset::Ruleset;
use crate::netfilter::table::Traced;
use crate::verdict::{Host, Listing};

/// The rules of this host, and the helper process that may read them.
pub(super) struct Rules {
    pub(super) keeper: Keeper,
    /// As they were when they were last asked for.
    latest: Arc<Ruleset>,
    host: Arc<Host>,
}

/// Lists that are kept: the first, from before all that is seen, and the latest, of which a failure takes two.
const LISTS: usize = 4;
/// Between two lists at least: each takes some milliseconds, in which nothing else is done, and a list of very many rules more.
const SPACING: Duration = Duration::from_millis(250);
/// The kernel's switch that has helpers assigned by port (up to Linux 5).
const HELPERS: &str = "/proc/sys/net/netfilter/nf_conntrack_helper";
/// What is missing if only the words of iptables are: rules of nft say the same.
const WORDS_ONLY: &str = "in the words of iptables";

impl Rules {
    /// Starts the helper process; nothing is listed yet.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(traced: &Traced, interfaces: &[Interface]) -> io::Result<Rules> {
        let keeper = Keeper::start(&std::env::current_exe()?, traced)?;
        Ok(Rules { keeper, latest: Arc::default(), host: Arc::new(host(interfaces)) })
    }

    /// The rules as they were when they were last asked for.
    pub(super) fn latest(&self) -> Arc<Ruleset> {
        Arc::clone(&self.latest)
    }

    /// This host, with what was listed so far.
    pub(super) fn host(&self) -> Arc<Host> {
        Arc::clone(&self.host)
    }

    /// Lists them again if they could be listed, and were not since `needed`; true if so.
    ///
    /// # Errors
    /// They cannot be had any more, in a line.
    pub(super) fn refresh(&mut self, needed: Time, now: impl Fn() -> Time) -> Result<bool, String> {
        let is_due = |list: &Listing| list.since <= needed && list.until.until(now()) >= SPACING;
        if !self.host.lists.last().is_some_and(is_due) {
            return Ok(false);
        }
        let absent = self.list(now).map_err(|why| why.to_string())?;
        absent.into_iter().find(|why| is_list(why)).map_or(Ok(true), Err)
    }

    /// Lists them; a line for each list that cannot be had. Only all of them together are kept for the host.
    pub(super) fn list(&mut self, now: impl Fn() -> Time) -> io::Result<Vec<String>> {
        let since = now();
        let (rules, absent) = self.keeper.ruleset()?;
        self.latest = Arc::new(rules);
        if !absent.iter().any(|why| is_list(why)) {
            let lists = &mut Arc::make_mut(&mut self.host).lists;
            if lists.len() == LISTS {
                lists.remove(1);
            }
            lists.push(Listing { since, until: now(), rules: Arc::clone(&self.latest) });
        }
        Ok(absent)
    }
}

/// What cannot be had is a list of rules, and not merely their words.
pub(super) fn is_list(absent: &str) -> bool {
    !absent.contains(WORDS_ONLY)
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
