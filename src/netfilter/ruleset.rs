//! From what nft(8), iptables-save(8) and their twins list to tables, chains and rules.
//!
//! Read first: nft(8), "RULESET" and "CHAINS"; iptables-save(8). nft lists the rules that iptables-nft(8) made as well,
//! with their handles but not in their words (comments are lost): those come from `iptables-nft-save -c`, by position.

use std::collections::HashMap;

use self::terms::Ending;
use super::{Family, Hook, Rule, Tool};

mod listing;
pub mod suspects;
pub mod terms;

/// All that the tools list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// The tables in the order of the lists.
    pub tables: Vec<Table>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The program that made it.
    pub tool: Tool,
    /// Its family.
    pub family: Family,
    /// Its name, unique in its family.
    pub name: String,
    /// Its chains.
    pub chains: Vec<Chain>,
}

/// A chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Its name, unique in its table.
    pub name: String,
    /// The hook of a base chain.
    pub hook: Option<Hook>,
    /// The priority of a base chain; lower comes first.
    pub priority: Option<i32>,
    /// Whether a base chain drops what comes to its end.
    pub drops: bool,
    /// Packets that came to the end of a base chain, if the list tells.
    pub packets: Option<u64>,
    /// Its rules in order.
    pub rules: Vec<Listed>,
}

/// A rule as it is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its handle in nf_tables.
    pub handle: Option<u64>,
    /// Its text without the values of counters: an nft rule, or `-A CHAIN ...`.
    pub text: String,
    /// Packets that it counted, if it counts.
    pub packets: Option<u64>,
}

impl Ruleset {
    /// Adds what `nft -a list ruleset` printed.
    pub fn add_nft(&mut self, text: &str) {
        self.tables.extend(listing::nft(text));
    }

    /// Adds what `iptables-save -c` or `ip6tables-save -c` printed. `family` is [`Family::Ip`] or [`Family::Ip6`].
    ///
    /// Rules of iptables-nft that nft lists already get the text of iptables; so add what nft lists first.
    pub fn add_iptables_save(&mut self, text: &str, family: Family, tool: Tool) {
        for table in listing::iptables_save(text, family, tool) {
            let is_same = |listed: &&mut Table| {
                tool == Tool::IptablesNft && (listed.family, listed.name.as_str()) == (family, &table.name)
            };
            match self.tables.iter_mut().find(is_same) {
                Some(listed) => listed.put_into_words(&table),
                None => self.tables.push(table),
            }
        }
    }

    /// A rule that is known by table, chain and handle, one of the older iptables by position, or the policy of a chain, with
    /// all that the lists tell of it. None if there is no such rule, as when it was added after they were made.
    ///
    /// Handles and positions are given anew when a table is loaded anew. Only what lists of before and after the packet
    /// resolve to the same is certain to be the rule that dropped it.
    pub fn resolve(&self, rule: &Rule) -> Option<Rule> {
        let is_legacy = |tool| tool == Tool::IptablesLegacy;
        let is_it = |table: &&Table| {
            (is_legacy(table.tool), table.family, &table.name) == (is_legacy(rule.tool), rule.family, &rule.table)
        };
        let table = self.tables.iter().find(is_it)?;
        let rules = &table.chain(&rule.chain)?.rules;
        let index = match (rule.handle, rule.position) {
            (Some(handle), _) => rules.iter().position(|listed| listed.handle == Some(handle))?,
            (None, Some(position)) => usize::try_from(position.checked_sub(1)?).ok()?,
            (None, None) => return table.policy(&rule.chain),
        };
        let found = table.rule(&rule.chain, index)?;
        let hook = table.chain(&rule.base_chain).and_then(|chain| chain.hook);
        Some(Rule { base_chain: rule.base_chain.clone(), hook, ..found })
    }

    /// Whether no rule drops, rejects or hands on to something unknown what it matches, and no policy drops: then no packet
    /// is lost to these rules.
    pub fn drops_nothing(&self) -> bool {
        self.tables.iter().all(|table| {
            let chains = table.by_name();
            let is_harmless = |listed: &Listed| match terms::ending(&listed.text) {
                Ending::Accepts | Ending::Returns | Ending::GoesOn => true,
                Ending::Jumps | Ending::Goes => terms::leads_to(&listed.text).is_some_and(|to| chains.contains_key(to)),
                Ending::Drops | Ending::Unknown => false,
            };
            table.chains.iter().all(|chain| !chain.drops && chain.rules.iter().all(is_harmless))
        })
    }

    /// Whether a rule has a helper read control connections (`ct helper set`, `-j CT --helper`).
    pub fn assigns_helper(&self) -> bool {
        self.any(|rule| words(rule).any(|word| word == "helper" || word == "--helper"))
    }

    /// The hooks of all base chains.
    pub fn hooks(&self) -> impl Iterator<Item = Hook> {
        self.tables.iter().flat_map(|table| &table.chains).filter_map(|chain| chain.hook)
    }

    /// Whether there is a rule whose text is such.
    pub fn any(&self, is_such: impl Fn(&str) -> bool) -> bool {
        let mut rules = self.tables.iter().flat_map(|table| &table.chains).flat_map(|chain| &chain.rules);
        rules.any(|listed| is_such(&listed.text))
    }

    /// The rules that drop and that counted packets since `earlier`, each with how many. A rule that counts nothing is never
    /// among them, nor a policy.
    pub fn counted_since(&self, earlier: &Ruleset) -> Vec<(Rule, u64)> {
        let mut counted = Vec::new();
        for table in &self.tables {
            let is_same =
                |other: &&Table| (other.tool, other.family, &other.name) == (table.tool, table.family, &table.name);
            let before = earlier.tables.iter().find(is_same);
            let before = before.map(Table::by_name).unwrap_or_default();
            for chain in &table.chains {
                let before = before.get(&*chain.name).map_or(&[][..], |chain| &chain.rules);
                for (index, listed) in chain.rules.iter().enumerate().filter(|(_, listed)| drops(&listed.text)) {
                    let more = listed.packets.unwrap_or(0).saturating_sub(listed.counted_before(before, index));
                    counted.extend(table.rule(&chain.name, index).filter(|_| more > 0).map(|rule| (rule, more)));
                }
            }
        }
        counted
    }

    /// The rule that a TRACE line of the older iptables names, as `TRACE: filter:INPUT:rule:2 `, if that rule or policy
    /// drops. Nothing tells through which base chain a packet came to another chain.
    pub fn of_trace_line(&self, family: Family, line: &str) -> Option<Rule> {
        let mut parts = line.strip_prefix("TRACE: ")?.trim_end().rsplitn(4, ':');
        let (number, kind, chain) = (parts.next()?.parse::<usize>().ok()?, parts.next()?, parts.next()?);
        let name = parts.next()?;
        let is_it = |table: &&Table| (table.tool, table.family, &*table.name) == (Tool::IptablesLegacy, family, name);
        let table = self.tables.iter().find(is_it)?;
        match kind {
            "policy" => table.policy(chain).filter(|_| table.chain(chain).is_some_and(|chain| chain.drops)),
            "rule" => table.rule(chain, number.checked_sub(1)?).filter(|rule| drops(&rule.text)),
            _ => None,
        }
    }
}

impl Table {
    /// The chain with this name.
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }

    /// The chains by their names: there may be many.
    fn by_name(&self) -> HashMap<&str, &Chain> {
        self.chains.iter().rev().map(|chain| (&*chain.name, chain)).collect()
    }

    /// The rule at an index of a chain.
    fn rule(&self, chain: &str, index: usize) -> Option<Rule> {
        let chain = self.chain(chain)?;
        let listed = chain.rules.get(index)?;
        let position = u32::try_from(index + 1).ok();
        Some(Rule { handle: listed.handle, position, text: listed.text.clone(), ..self.bare(chain) })
    }

    /// The policy of a base chain.
    fn policy(&self, chain: &str) -> Option<Rule> {
        let chain = self.chain(chain).filter(|chain| chain.hook.is_some())?;
        let text = match (self.tool, chain.drops) {
            (Tool::Nft, true) => "policy drop".to_owned(),
            (Tool::Nft, false) => "policy accept".to_owned(),
            (_, drops) => format!("-P {} {}", chain.name, if drops { "DROP" } else { "ACCEPT" }),
        };
        Some(Rule { text, ..self.bare(chain) })
    }

    fn bare(&self, chain: &Chain) -> Rule {
        Rule {
            tool: self.tool,
            family: self.family,
            table: self.name.clone(),
            chain: chain.name.clone(),
            base_chain: chain.name.clone(),
            hook: chain.hook,
            handle: None,
            position: None,
            text: String::new(),
        }
    }

    /// Takes the words of iptables-nft for the rules of each chain that both list in full.
    fn put_into_words(&mut self, other: &Table) {
        self.tool = other.tool;
        let others = other.by_name();
        for chain in &mut self.chains {
            let same = others.get(&*chain.name);
            chain.packets = same.and_then(|other| other.packets);
            let same = same.filter(|other| other.rules.len() == chain.rules.len());
            for (rule, other) in chain.rules.iter_mut().zip(same.iter().flat_map(|same| &same.rules)) {
                rule.text.clone_from(&other.text);
            }
        }
    }
}

impl Listed {
    /// What it had counted in an earlier list of its chain: found by its handle, or by its index where it has none.
    fn counted_before(&self, earlier: &[Listed], index: usize) -> u64 {
        let same = match self.handle {
            Some(_) => earlier.iter().find(|listed| listed.handle == self.handle),
            None => earlier.get(index).filter(|listed| listed.text == self.text),
        };
        same.and_then(|listed| listed.packets).unwrap_or(0)
    }
}

/// Whether a rule drops every packet that it matches.
fn drops(rule: &str) -> bool {
    let target = || words(rule).skip_while(|&word| word != "-j").nth(1);
    match rule.starts_with("-A ") {
        true => matches!(target(), Some("DROP" | "REJECT")),
        false => words(rule).any(|word| word == "drop" || word == "reject"),
    }
}

/// The words of a rule outside of quotes.
pub(super) fn words(rule: &str) -> impl Iterator<Item = &str> {
    outside_quotes(rule).flat_map(str::split_ascii_whitespace)
}

/// The parts of a line outside of quotes. iptables-save(8) writes a quote within quotes as `\"`.
fn outside_quotes(line: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    let mut quotes = line.split(move |c| {
        let is_quote = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        is_quote
    });
    std::iter::from_fn(move || {
        let outside = quotes.next();
        quotes.next();
        outside
    })
}

#[cfg(test)]
mod tests;
