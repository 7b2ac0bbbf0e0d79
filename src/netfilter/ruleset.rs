//! From what nft(8), iptables-save(8) and their twins list to tables, chains and rules.
//!
//! Read first: nft(8), "RULESET" and "CHAINS"; iptables-save(8). nft lists the rules that iptables-nft(8) made as well,
//! with their handles but not in their words (comments are lost): those come from `iptables-nft-save -c`, by position.

use std::collections::HashMap;

use super::{Family, Hook, Rule, Tool};

mod listing;

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
    /// Its named sets and maps (nft).
    pub sets: Vec<Set>,
}

/// A named set or map of nft.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// Its name, unique in its table.
    pub name: String,
    /// Its elements between commas, as nft lists them; none if they come and go by themselves, or are very many.
    pub elements: Option<String>,
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
    /// Whether a base chain translates addresses: it sees the first packets of connections only.
    pub nat: bool,
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

    /// Packets that a rule or a policy counted, if there is this very one and it counts. One with further rules in it counts
    /// what comes as far as to the first counter in it, which tells nothing.
    pub fn counted(&self, rule: &Rule) -> Option<u64> {
        let has_rules = |text: &str| text.contains("jump {") || text.contains("goto {");
        self.resolve(rule).filter(|found| found == rule && !has_rules(&found.text))?;
        let table = self
            .tables
            .iter()
            .find(|table| (table.tool, table.family, &table.name) == (rule.tool, rule.family, &rule.table))?;
        let chain = table.chain(&rule.chain)?;
        match rule.position {
            Some(position) => chain.rules.get(usize::try_from(position.checked_sub(1)?).ok()?)?.packets,
            None => chain.packets,
        }
    }

    /// Whether a word outside of quotes is in one of the rules.
    pub fn has_word(&self, is_it: impl Fn(&str) -> bool) -> bool {
        let chains = self.tables.iter().flat_map(|table| &table.chains);
        chains.flat_map(|chain| &chain.rules).any(|rule| words(&rule.text).any(&is_it))
    }

    /// A base chain translates addresses.
    pub fn translates(&self) -> bool {
        self.tables.iter().flat_map(|table| &table.chains).any(|chain| chain.nat)
    }

    /// The hooks of all base chains.
    pub fn hooks(&self) -> impl Iterator<Item = Hook> {
        self.tables.iter().flat_map(|table| &table.chains).filter_map(|chain| chain.hook)
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

    /// The named set or map with this name.
    pub fn set(&self, name: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.name == name)
    }

    /// The rule at an index of a chain.
    pub(super) fn rule(&self, chain: &str, index: usize) -> Option<Rule> {
        let chain = self.chain(chain)?;
        let listed = chain.rules.get(index)?;
        let position = u32::try_from(index + 1).ok();
        Some(Rule { handle: listed.handle, position, text: listed.text.clone(), ..self.bare(chain) })
    }

    /// The policy of a base chain.
    pub(super) fn policy(&self, chain: &str) -> Option<Rule> {
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
