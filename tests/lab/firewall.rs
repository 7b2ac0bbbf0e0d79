//! A box's ruleset, in the syntax of the tool that loads it.

use crate::host::{Fallible, Host};

/// What loads rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// nft(8).
    Nft,
    /// iptables-nft-restore(8), or its IPv6 twin.
    IptablesNft,
    /// iptables-legacy-restore(8), or its IPv6 twin.
    IptablesLegacy,
}

/// The comment of the rule that is to blame: its counter must move.
pub(crate) const BLAMED: &str = "blamed";

impl Tool {
    /// Its commands begin with this.
    fn prefix(self, v6: bool) -> &'static str {
        match (self, v6) {
            (Tool::Nft, _) => "nft",
            (Tool::IptablesNft, false) => "iptables-nft",
            (Tool::IptablesNft, true) => "ip6tables-nft",
            (Tool::IptablesLegacy, false) => "iptables-legacy",
            (Tool::IptablesLegacy, true) => "ip6tables-legacy",
        }
    }

    /// Loads rules: whole tables, or for nft the chains of `table inet filter`, or for iptables the rules of its filter
    /// table.
    pub(crate) fn load(self, host: &Host, rules: &str, v6: bool) -> Fallible<()> {
        // nft wants a line end before a closing brace.
        let rules = rules.replace("; }", ";\n}").replace("} }", "}\n}");
        let is_whole = rules.starts_with("table") || rules.starts_with('*');
        let (command, text) = match (self, is_whole) {
            (Tool::Nft, true) => ("nft -f -".to_owned(), rules),
            (Tool::Nft, false) => ("nft -f -".to_owned(), format!("table inet filter {{\n{rules}\n}}\n")),
            (_, true) => (format!("{}-restore -w", self.prefix(v6)), format!("{rules}\n")),
            (_, false) => (format!("{}-restore -w", self.prefix(v6)), format!("*filter\n{rules}\nCOMMIT\n")),
        };
        host.run_with(&command, &text).map(drop).map_err(|error| format!("on {}: {error}\n{text}", host.name))
    }

    /// All rules that are loaded, with their counters.
    pub(crate) fn dump(self, host: &Host, v6: bool) -> Fallible<String> {
        match self {
            Tool::Nft => host.run("nft list ruleset"),
            _ => {
                let dump = host.run(&format!("{}-save -c", self.prefix(v6)))?;
                Ok(dump.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect())
            }
        }
    }
}

/// The rule to blame in a dump and what it counted, if there is one.
pub(crate) fn blamed(dump: &str) -> Option<(u64, String)> {
    let rule = dump.lines().find(|line| line.contains(BLAMED))?.trim();
    let digits = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
    let packets = match rule.strip_prefix('[') {
        Some(counters) => digits(counters),
        None => rule.split("packets ").nth(1).and_then(digits),
    };
    Some((packets?, rule.to_owned()))
}
