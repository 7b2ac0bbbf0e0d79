//! The lists line by line.
//!
//! nft indents by the depth of what it lists: a chain by one tab, its rules by two, what belongs to a rule (`jump { ... }`)
//! by more. So a line that makes no sense costs that line only.

use std::collections::HashMap;

use super::super::{Family, Hook, Tool};
use super::{Chain, Listed, Set, Table, words};

/// Longest list of a set's elements that is kept, in bytes: a list of ports or hosts that people write has less; a list of all
/// the bad addresses of the world, which names no FTP peer, has megabytes.
const ELEMENTS: usize = 64 << 10;

/// The tables in what `nft -a list ruleset` printed.
pub(super) fn nft(text: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut within = Within::Nothing;
    for line in text.lines() {
        let content = line.trim_start_matches('\t');
        let depth = line.len() - content.len();
        if depth == 0 {
            tables.extend(table(content));
            within = Within::Nothing;
        } else if let Some(table) = tables.last_mut() {
            match depth {
                1 => within = table.open(content),
                _ => table.take(within, depth, content),
            }
        }
    }
    tables
}

/// What a line of a table belongs to.
#[derive(Clone, Copy)]
enum Within {
    Chain,
    Set,
    Nothing,
}

impl Table {
    /// Takes a line that begins a part of the table.
    fn open(&mut self, line: &str) -> Within {
        if let Some(chain) = chain(line) {
            self.chains.push(chain);
            Within::Chain
        } else if let Some(set) = set(line) {
            self.sets.push(set);
            Within::Set
        } else {
            Within::Nothing
        }
    }

    /// Takes a line of that part.
    fn take(&mut self, within: Within, depth: usize, content: &str) {
        match within {
            Within::Chain => {
                self.chains.iter_mut().next_back().into_iter().for_each(|chain| chain.take(self.family, depth, content))
            }
            Within::Set => self.sets.iter_mut().next_back().into_iter().for_each(|set| set.take(content)),
            Within::Nothing => {}
        }
    }
}

fn set(line: &str) -> Option<Set> {
    let (name, _) = line.strip_prefix("set ").or_else(|| line.strip_prefix("map "))?.split_once(" {")?;
    Some(Set { name: name.to_owned(), elements: Some(String::new()) })
}

impl Set {
    /// Takes a line that nft lists in a set: `flags interval`, `elements = { 21, 22,`, or more elements.
    fn take(&mut self, content: &str) {
        let is_changing = |flags: &str| flags.split(',').any(|flag| matches!(flag.trim(), "dynamic" | "timeout"));
        let changes = content.strip_prefix("flags ").is_some_and(is_changing);
        let Some(elements) = self.elements.as_mut().filter(|elements| !changes && elements.len() <= ELEMENTS) else {
            self.elements = None;
            return;
        };
        let (begun, more) = match content.strip_prefix("elements = {") {
            Some(first) => (true, first),
            None => (!elements.is_empty(), content),
        };
        if begun && !content.starts_with('}') {
            elements.push_str(more.trim_end_matches('}'));
        }
    }
}

fn table(line: &str) -> Option<Table> {
    let mut words = line.strip_prefix("table ")?.split(' ');
    let family = Family::of_name(words.next()?)?;
    Some(Table { tool: Tool::Nft, family, name: words.next()?.to_owned(), chains: Vec::new(), sets: Vec::new() })
}

fn chain(line: &str) -> Option<Chain> {
    let (name, _) = line.strip_prefix("chain ")?.split_once(" {")?;
    Some(Chain { name: name.to_owned(), ..Chain::default() })
}

impl Chain {
    /// Takes a line that nft lists in a chain.
    fn take(&mut self, family: Family, depth: usize, content: &str) {
        let belongs_to_rule = depth > 2 || content.starts_with('}');
        match self.rules.last_mut() {
            Some(rule) if belongs_to_rule => rule.go_on(content),
            _ if content.starts_with("type ") => self.describe(family, content),
            _ if belongs_to_rule || content.starts_with("comment \"") => {}
            _ => self.rules.push(Listed::of_nft(content)),
        }
    }

    /// Reads `type filter hook input priority filter + 10; policy accept;`.
    fn describe(&mut self, family: Family, line: &str) {
        let after = |what: &str| line.split_once(what).map_or("", |(_, rest)| rest.split(';').next().unwrap_or(""));
        self.hook = after(" hook ").split(' ').next().and_then(Hook::of_name);
        self.priority = priority(family, after(" priority "));
        self.drops = after(" policy ") == "drop";
        self.nat = line.starts_with("type nat ");
    }
}

/// Reads a priority: a number, a name (nft(8), "CHAINS"), or a name and what is added to it.
fn priority(family: Family, text: &str) -> Option<i32> {
    const NAMES: [(&str, i32); 6] =
        [("raw", -300), ("mangle", -150), ("dstnat", -100), ("filter", 0), ("security", 50), ("srcnat", 100)];
    const OF_BRIDGE: [(&str, i32); 4] = [("dstnat", -300), ("filter", -200), ("out", 100), ("srcnat", 300)];
    let names = if family == Family::Bridge { &OF_BRIDGE[..] } else { &NAMES[..] };
    let mut words = text.split(' ');
    let base = words.next()?;
    let named = names.iter().find(|row| row.0 == base).map(|row| row.1);
    let base = named.or_else(|| base.parse().ok())?;
    let by = words.collect::<String>();
    if by.is_empty() { Some(base) } else { base.checked_add(by.parse().ok()?) }
}

impl Listed {
    /// A rule, or the first line of one.
    fn of_nft(line: &str) -> Listed {
        let mut rule = Listed::default();
        rule.go_on(line);
        rule
    }

    /// Takes a further line of the rule.
    fn go_on(&mut self, line: &str) {
        let handle = line.rsplit_once(" # handle ").and_then(|(text, handle)| Some((text, handle.parse().ok()?)));
        let (text, handle) = handle.map_or((line, None), |(text, handle)| (text, Some(handle)));
        let (text, packets) = without_counter(text);
        if !self.text.is_empty() {
            let is_inside = !self.text.ends_with('{') && !text.starts_with('}');
            self.text.push_str(if is_inside { "; " } else { " " });
        }
        self.text.push_str(&text);
        self.handle = self.handle.or(handle);
        self.packets = self.packets.or(packets);
    }
}

/// A rule of nft without the values of its counter, and the packets that it counted.
fn without_counter(text: &str) -> (String, Option<u64>) {
    const COUNTER: &str = "counter packets ";
    let (mut looked_at, mut quotes) = (0, 0);
    let mut is_unquoted = |at: &usize| {
        quotes += text[looked_at..*at].matches('"').count();
        looked_at = *at;
        quotes.is_multiple_of(2)
    };
    let found = text.match_indices(COUNTER).map(|(at, _)| at).find(&mut is_unquoted);
    let counted = found.and_then(|at| {
        let mut values = text[at + COUNTER.len()..].splitn(4, ' ');
        let packets = values.next()?.parse().ok()?;
        let _ = (values.next()?, values.next()?);
        let after = values.next().map_or(String::new(), |after| format!(" {after}"));
        Some((format!("{}counter{after}", &text[..at]), Some(packets)))
    });
    counted.unwrap_or_else(|| (text.to_owned(), None))
}

/// The tables in what `iptables-save -c` printed.
pub(super) fn iptables_save(text: &str, family: Family, tool: Tool) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut indexes = HashMap::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            tables.push(Table { tool, family, name: name.to_owned(), chains: Vec::new(), sets: Vec::new() });
            indexes.clear();
        } else if let Some(table) = tables.last_mut() {
            match line.strip_prefix(':') {
                Some(line) => table.chains.extend(saved_chain(&table.name, line).inspect(|chain| {
                    indexes.entry(chain.name.clone()).or_insert(table.chains.len());
                })),
                None => table.take_saved(&indexes, line),
            }
        }
    }
    tables
}

/// Reads `INPUT DROP [0:0]`; a chain that users made has `-` for its policy.
fn saved_chain(table: &str, line: &str) -> Option<Chain> {
    let mut words = line.split(' ');
    let (name, policy) = (words.next()?, words.next()?);
    let hook = Hook::of_name(name).filter(|_| policy != "-");
    let priority = hook.and_then(|hook| match (table, hook) {
        ("raw", _) => Some(-300),
        ("mangle", _) => Some(-150),
        ("nat", Hook::Prerouting | Hook::Output) => Some(-100),
        ("nat", _) => Some(100),
        ("filter", _) => Some(0),
        ("security", _) => Some(50),
        _ => None,
    });
    let counters = words.next().and_then(|word| word.strip_prefix('['));
    let packets = counters.filter(|_| hook.is_some()).and_then(packets);
    Some(Chain {
        name: name.to_owned(),
        hook,
        priority,
        drops: policy == "DROP",
        nat: table == "nat",
        packets,
        rules: Vec::new(),
    })
}

/// Reads the packets of `1:60]`.
fn packets(counters: &str) -> Option<u64> {
    counters.split(':').next()?.parse().ok()
}

impl Table {
    /// Reads `[1:60] -A INPUT -p tcp -j DROP`.
    fn take_saved(&mut self, indexes: &HashMap<String, usize>, line: &str) {
        let (packets, text) = match line.strip_prefix('[').and_then(|line| line.split_once("] ")) {
            Some((counters, text)) => (packets(counters), text),
            None => (None, line),
        };
        let mut words = words(text);
        let name = words.next().filter(|&word| word == "-A").and_then(|_| words.next());
        if let Some(chain) = name.and_then(|name| self.chains.get_mut(*indexes.get(name)?)) {
            chain.rules.push(Listed { handle: None, text: text.to_owned(), packets });
        }
    }
}
