//! Which rules of a host may have dropped a packet, and which of them their counters convict.
//!
//! Read first: nft(8), "CHAINS" and "VERDICT STATEMENTS". A packet is led through all chains of its hooks by the obvious
//! [terms] of the rules. What is not known may be; so the suspects are never too few. A rule is convicted when the packet
//! certainly comes to it, its terms are all known and hold, it counted the packet, and every other suspect counted nothing
//! meanwhile.

use std::collections::HashMap;

use super::super::{Family, Hook, Rule};
use super::terms::{self, Ending, Probe};
use super::{Chain, Listed, Ruleset, Table};

/// Rules that a packet is led by at most: a ruleset of a hundred thousand rules, some of them several times.
const MAX_STEPS: usize = 1 << 20;
/// Deepest nesting of chains (`NFT_JUMP_STACK_SIZE` of Linux).
const MAX_DEPTH: usize = 16;

/// Rules and policies that may have dropped a packet.
#[derive(Debug, Default)]
pub struct Suspects {
    found: Vec<Suspect>,
    /// Some rule is beyond what is known here, or there are too many.
    lost: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Suspect {
    /// None for what names no single rule.
    rule: Option<Rule>,
    /// The packet comes to it, and all its terms hold.
    is_certain: bool,
    /// Packets that it counted in between, if that is known.
    counted: Option<u64>,
}

/// What the packet does after a rule or a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoesOn,
    Returns,
    Passed,
    Dropped,
}

impl Suspects {
    /// Leads a packet that comes to these hooks through the rules of a later moment; `earlier` is the same host before.
    pub fn of(earlier: &Ruleset, later: &Ruleset, probe: &Probe<'_>, hooks: &[Hook]) -> Suspects {
        let mut suspects = Suspects::default();
        for table in later.tables.iter().filter(|table| concerns(table.family, probe.v6)) {
            let is_same =
                |other: &&Table| (other.tool, other.family, &other.name) == (table.tool, table.family, &table.name);
            let before = Before::of(earlier.tables.iter().find(is_same));
            let mut walk =
                Walk { table, chains: table.by_name(), before, probe, steps: 0, left: false, suspects: &mut suspects };
            let is_met = |chain: &&Chain| chain.hook.is_some_and(|hook| hooks.contains(&hook));
            table.chains.iter().filter(is_met).for_each(|chain| walk.base(chain));
        }
        suspects
    }

    /// Takes those of later hooks as well.
    pub fn join(&mut self, other: Suspects) {
        self.found.extend(other.found);
        self.lost |= other.lost;
    }

    /// Whether a rule is one of them.
    pub fn include(&self, rule: &Rule) -> bool {
        self.found.iter().any(|suspect| suspect.rule.as_ref() == Some(rule))
    }

    /// The one rule that dropped one of several packets, any of which may be the one that was lost, with what it counted.
    /// None if more than one may be it, or that one may not.
    pub fn convicted<'a>(all: impl Iterator<Item = &'a Suspects> + Clone) -> Option<(&'a Rule, u64)> {
        let mut guilty = all.clone().flat_map(|suspects| &suspects.found).filter(|suspect| suspect.counted != Some(0));
        let suspect = guilty.next()?;
        let is_alone = guilty.all(|other| other.rule.is_some() && other.rule == suspect.rule);
        let is_lost = { all }.any(|suspects| suspects.lost);
        let counted = suspect.counted.filter(|_| suspect.is_certain && is_alone && !is_lost)?;
        Some((suspect.rule.as_ref()?, counted))
    }
}

/// Whether packets of this IP version come to tables of a family.
fn concerns(family: Family, v6: bool) -> bool {
    match family {
        Family::Ip => !v6,
        Family::Ip6 => v6,
        Family::Inet | Family::Bridge | Family::Netdev => true,
        Family::Arp => false,
    }
}

/// The same table before.
#[derive(Default)]
struct Before<'a> {
    chains: HashMap<&'a str, &'a Chain>,
    /// Its rules by handle, which is unique in a table.
    rules: HashMap<u64, &'a Listed>,
}

impl<'a> Before<'a> {
    fn of(table: Option<&'a Table>) -> Before<'a> {
        let rules = table.iter().flat_map(|table| &table.chains).flat_map(|chain| &chain.rules);
        let rules = rules.filter_map(|listed| Some((listed.handle?, listed))).collect();
        Before { chains: table.map(Table::by_name).unwrap_or_default(), rules }
    }

    /// The rule that was where this one is, if it is still the same.
    fn rule(&self, chain: &Chain, index: usize) -> Option<&'a Listed> {
        let now = &chain.rules[index];
        let before = match now.handle {
            Some(handle) => self.rules.get(&handle).copied(),
            None => self.chains.get(&*chain.name).and_then(|chain| chain.rules.get(index)),
        };
        before.filter(|before| before.text == now.text)
    }
}

struct Walk<'a> {
    table: &'a Table,
    chains: HashMap<&'a str, &'a Chain>,
    before: Before<'a>,
    probe: &'a Probe<'a>,
    steps: usize,
    /// The packet may have left the base chain before it comes here.
    left: bool,
    suspects: &'a mut Suspects,
}

impl<'a> Walk<'a> {
    fn base(&mut self, chain: &'a Chain) {
        self.left = false;
        let then = self.chain(chain, chain, true, 0);
        if matches!(then, Then::GoesOn | Then::Returns) && chain.drops {
            let before = self.before.chains.get(&*chain.name).and_then(|chain| chain.packets);
            self.suspect(self.table.policy(&chain.name), !self.left, more(before, chain.packets));
        }
    }

    /// Leads the packet through a chain; `is_sure` if it certainly comes there.
    fn chain(&mut self, base: &'a Chain, chain: &'a Chain, is_sure: bool, depth: usize) -> Then {
        for (index, listed) in chain.rules.iter().enumerate() {
            self.steps += 1;
            if self.steps > MAX_STEPS || depth > MAX_DEPTH {
                self.suspects.lost = true;
                return Then::GoesOn;
            }
            let holds = terms::matches(&listed.text, self.probe);
            let is_innocent = holds.is_none() && self.counted(chain, index) == Some(0);
            if holds == Some(false) || is_innocent {
                continue;
            }
            match self.rule(base, chain, index, is_sure && holds.is_some(), depth) {
                Then::GoesOn => {}
                then if holds.is_some() => return then,
                Then::Dropped => {}
                Then::Passed | Then::Returns => self.left = true,
            }
        }
        Then::GoesOn
    }

    /// What becomes of the packet if it matches this rule; `is_sure` if it certainly does once it comes here.
    fn rule(&mut self, base: &'a Chain, chain: &'a Chain, index: usize, is_sure: bool, depth: usize) -> Then {
        let text = &*chain.rules[index].text;
        let target = terms::leads_to(text).and_then(|name| self.chains.get(name)).copied();
        match (terms::ending(text), target) {
            (Ending::GoesOn, _) => Then::GoesOn,
            (Ending::Returns, _) => {
                self.left |= !is_sure;
                Then::Returns
            }
            (Ending::Accepts, _) => {
                self.left |= !is_sure;
                Then::Passed
            }
            (Ending::Drops, _) => {
                let rule = self.table.rule(&chain.name, index);
                let rule = rule.map(|rule| Rule { base_chain: base.name.clone(), hook: base.hook, ..rule });
                self.suspect(rule, is_sure && !self.left, self.counted(chain, index));
                Then::Dropped
            }
            (Ending::Jumps, Some(target)) => match self.chain(base, target, is_sure, depth + 1) {
                Then::Returns => Then::GoesOn,
                then => then,
            },
            (Ending::Goes, Some(target)) => match self.chain(base, target, is_sure, depth + 1) {
                Then::GoesOn => Then::Returns,
                then => then,
            },
            (Ending::Jumps | Ending::Goes | Ending::Unknown, _) => {
                self.left = true;
                self.suspect(None, false, self.counted(chain, index));
                Then::GoesOn
            }
        }
    }

    fn counted(&self, chain: &Chain, index: usize) -> Option<u64> {
        more(self.before.rule(chain, index)?.packets, chain.rules[index].packets)
    }

    fn suspect(&mut self, rule: Option<Rule>, is_certain: bool, counted: Option<u64>) {
        let found = &mut self.suspects.found;
        match found.iter_mut().find(|suspect| suspect.rule.is_some() && suspect.rule == rule) {
            Some(known) => known.is_certain |= is_certain,
            None => found.push(Suspect { rule, is_certain, counted }),
        }
    }
}

/// What a counter counted in between; none if it began anew, or does not count.
fn more(before: Option<u64>, now: Option<u64>) -> Option<u64> {
    now?.checked_sub(before?)
}

#[cfg(test)]
mod tests;
