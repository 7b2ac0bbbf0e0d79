//! The very rule that dropped the packet is known: what to put before it, in its own tool, and how to keep that.

use super::firewall::{Pass, match_iptables, match_nft};
use super::scene::{On, Scene};
use super::{Commands, Remedy};
use crate::language::say;
use crate::line::{Place, Side};
use crate::netfilter::{Family, Tool};
use crate::verdict::{Lost, Named};

/// Lets what was lost pass before the rule that dropped it. None where the rules are made by firewalld or ufw, which would
/// undo it, and have commands of their own.
pub(super) fn before(scene: &Scene<'_>, named: &Named) -> Option<Remedy> {
    let on = match named.on {
        Place::Client => On::Host(Side::Client),
        Place::Server => On::Host(Side::Server),
        Place::Between | Place::Unknown => On::Router,
    };
    let rule = &named.rule;
    let made = rule.table == "firewalld" || rule.chain.starts_with("ufw");
    let pass = scene.pass(on).filter(|_| !made)?;
    let opens = matches!(scene.finding.lost, Some(Lost::ControlSyn | Lost::DataSyn));
    let passes = (!opens).then_some(ESTABLISHED);
    let (place, is_policy) = (rule.place(), rule.position.is_none() && rule.handle.is_none());
    let what = match (is_policy, opens) {
        (true, _) => {
            say!("{place} drops it: let it pass at the end of the chain, before the policy, and keep that:", place)
        }
        (false, true) => say!("{place} drops it: let the connection pass before it, and keep that:", place),
        (false, false) => say!(
            "{place} drops it: let what belongs to an established connection pass before it, and keep that:",
            place
        ),
    };
    let mut commands = vec![command(&pass, named, passes)];
    commands.extend(keep(named));
    Some(Remedy::new(on, what, commands))
}

/// What belongs to a connection that conntrack knows, in the words of iptables-extensions(8) and of nft(8).
const ESTABLISHED: (&str, &str) = (" -m conntrack --ctstate ESTABLISHED,RELATED", " ct state established,related");

fn command(pass: &Pass, named: &Named, passes: Option<(&str, &str)>) -> (&'static str, String) {
    let rule = &named.rule;
    let chain = quoted(&rule.chain);
    let iptables = |program: String| {
        let table = if rule.table == "filter" { String::new() } else { format!(" -t {}", quoted(&rule.table)) };
        let at = match rule.position {
            Some(position) => format!("-I {chain} {position}"),
            None => format!("-A {chain}"),
        };
        let passes = passes.map_or_else(|| match_iptables(pass), |words| words.0.to_owned());
        format!("{program}{table} {at}{passes} -j ACCEPT")
    };
    let program = if rule.family == Family::Ip6 { "ip6tables" } else { "iptables" };
    match rule.tool {
        Tool::Nft => {
            let table = quoted(&rule.table);
            let at = match rule.handle {
                Some(handle) => format!("insert rule {} {table} {chain} handle {handle}", rule.family),
                None => format!("add rule {} {table} {chain}", rule.family),
            };
            let passes = passes.map_or_else(|| match_nft(pass), |words| words.1.to_owned());
            ("nftables", format!("nft {at}{passes} accept"))
        }
        Tool::IptablesNft => (program, iptables(format!("{program}-nft"))),
        Tool::IptablesLegacy => (program, iptables(format!("{program}-legacy"))),
    }
}

/// Where Debian and RHEL load rules from at boot.
fn keep(named: &Named) -> Commands {
    let (save, debian, rhel) = match (named.rule.tool, named.rule.family) {
        (Tool::Nft, _) => ("nft list ruleset".to_owned(), "/etc/nftables.conf", "/etc/sysconfig/nftables.conf"),
        (tool, Family::Ip6) => (saving("ip6tables", tool), "/etc/iptables/rules.v6", "/etc/sysconfig/ip6tables"),
        (tool, _) => (saving("iptables", tool), "/etc/iptables/rules.v4", "/etc/sysconfig/iptables"),
    };
    vec![("Debian", format!("{save} > {debian}")), ("RHEL", format!("{save} > {rhel}"))]
}

fn saving(program: &str, tool: Tool) -> String {
    let kind = if tool == Tool::IptablesLegacy { "legacy" } else { "nft" };
    format!("{program}-{kind}-save")
}

/// A name as a shell takes it: names of chains may be anything.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.chars().all(plain) { name.to_owned() } else { format!("'{}'", name.replace('\'', "'\\''")) }
}
