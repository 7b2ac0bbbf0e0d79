//! What the rules of a host may do with a packet: the chains on its way, walked as the kernel walks them.
//!
//! Read first: nft(8), "CHAINS" and "VERDICT STATEMENT"; `net/netfilter/nf_tables_core.c` and `net/ipv4/netfilter/ip_tables.c`
//! of Linux. Of a packet not all is known, and of the rules' languages not all is read; so what a rule matches has three
//! values, and from one that may match both ways lead on. What comes of it can hold too much, never too little.

mod iptables;
mod nft;
mod packet;
mod words;

use super::ruleset::{Chain, Ruleset, Table};
use super::{Family, Hook, Rule};
use packet::Truth;
pub use packet::{Device, End, Packet, States};

/// A packet's way through this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// To a program of this host.
    Input,
    /// Through this host.
    Forward,
    /// From a program of this host.
    Output,
}

/// What the rules may do with a packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// The rules and policies that may drop it, in the order in which it meets them; to reject is to drop.
    pub drops: Vec<Rule>,
    /// It may get through.
    pub may_pass: bool,
    /// There was more to walk than is walked: other rules may drop it, too.
    pub cut: bool,
    /// Sender and receiver at the end of its way.
    pub ends: (End, End),
}

/// Chains that lead into each other: the kernel takes no more (`NFT_JUMP_STACK_SIZE`).
const DEPTH: usize = 16;
/// Rules that are looked at: more than anybody has, and a fraction of a second. Chains that lead to each other over and over
/// would be walked without end else.
const STEPS: usize = 200_000;
/// Drops that are told; who has more of them is told by none.
const DROPS: usize = 64;
/// Where connection tracking stands in a hook (`NF_IP_PRI_CONNTRACK`): before, no packet has a state.
const CONNTRACK: i32 = -200;
/// Where receivers are translated (`NF_IP_PRI_NAT_DST`), and senders (`NF_IP_PRI_NAT_SRC`).
const NAT: (i32, i32) = (-100, 100);

/// What a rule does with what it matches.
enum Does<'a> {
    GoOn,
    Accept,
    Drop,
    Return,
    Jump(&'a str),
    Goto(&'a str),
    /// Rules of nft that stand within the rule, and whether the chain goes on behind it.
    Block(Vec<&'a str>, bool),
    /// One of these, or none of them, by what else is true.
    OneOf(Vec<(Truth, Does<'a>)>),
    /// The receiver becomes another.
    Destination,
    /// The sender becomes another.
    Source,
    /// What is not known here.
    Anything,
}

impl Ruleset {
    /// What these rules may do with a packet on its way.
    pub fn fate(&self, packet: &Packet, way: Way) -> Fate {
        let mut walk = Walk { packet: packet.clone(), fate: Fate::default(), steps: 0, ruleset: self };
        walk.fate.may_pass = match way {
            Way::Output => walk.hooks(&[Hook::Output]) && walk.behind_output(packet.destination),
            Way::Input | Way::Forward => {
                walk.hooks(&[Hook::Ingress, Hook::Prerouting]) && walk.behind_routing(way, packet.destination)
            }
        };
        walk.fate.may_pass |= walk.fate.cut;
        Fate { ends: (walk.packet.source, walk.packet.destination), ..walk.fate }
    }
}

/// A walk that is under way.
struct Walk<'a> {
    ruleset: &'a Ruleset,
    /// As far as it is still known: translation makes it less.
    packet: Packet,
    fate: Fate,
    steps: usize,
}

/// How a packet may leave a chain.
#[derive(Clone, Copy, Default)]
struct Left {
    /// Accepted.
    accepted: bool,
    /// At its end, or by a return.
    ended: bool,
}

/// Where a walk is: the base chain that it came in by, and how it stands there.
#[derive(Clone, Copy)]
struct Place<'a> {
    table: &'a Table,
    base: &'a Chain,
    depth: usize,
}

/// A rule by its chain and its index there.
type At<'a> = (&'a Chain, usize);

impl<'a> Walk<'a> {
    /// The rest of the way. What has another receiver by now, and nobody knows which, can be on the other way.
    fn behind_routing(&mut self, way: Way, destination: End) -> bool {
        let is_lost = self.packet.destination == End::default() && destination != End::default();
        let input = (is_lost || way == Way::Input) && self.hooks(&[Hook::Input]);
        let forward = (is_lost || way == Way::Forward) && self.hooks(&[Hook::Forward, Hook::Postrouting, Hook::Egress]);
        input || forward
    }

    /// The same of a packet that a program of this host sends; one with another receiver may stay here, which is not walked.
    fn behind_output(&mut self, destination: End) -> bool {
        self.fate.cut |= self.packet.destination != destination;
        self.hooks(&[Hook::Postrouting, Hook::Egress])
    }

    /// Whether it may pass all of these.
    fn hooks(&mut self, hooks: &[Hook]) -> bool {
        hooks.iter().all(|&hook| self.hook(hook))
    }

    /// Chains with the same priority are asked all: lists do not tell which of them comes first.
    fn hook(&mut self, hook: Hook) -> bool {
        let mut chains = self.base_chains(hook);
        chains.sort_by_key(|(_, chain, _)| chain.priority);
        let passes = chains.chunk_by(|one, other| one.1.priority == other.1.priority).all(|same| {
            self.translate(hook, same[0].1.priority.unwrap_or(i32::MIN));
            same.iter().fold(true, |passes, (table, base, meets)| {
                let place = Place { table, base, depth: 0 };
                (self.base_chain(place) || *meets == Truth::Unknown) && passes
            })
        });
        self.translate(hook, i32::MAX);
        passes
    }

    /// What the connection's translation has made of the packet when it comes to a priority of a hook.
    fn translate(&mut self, hook: Hook, priority: i32) {
        let Some((source, destination)) = self.packet.translated else { return };
        match hook {
            Hook::Prerouting | Hook::Output if priority > NAT.0 => self.packet.destination = destination,
            Hook::Input | Hook::Postrouting if priority > NAT.1 => self.packet.source = source,
            _ => {}
        }
    }

    /// The base chains of a hook that the packet meets, or may meet.
    fn base_chains(&self, hook: Hook) -> Vec<(&'a Table, &'a Chain, Truth)> {
        let ruleset = self.ruleset;
        let chains = ruleset.tables.iter().flat_map(|table| table.chains.iter().map(move |chain| (table, chain)));
        let here = chains.filter(|(_, chain)| chain.hook == Some(hook));
        let met = here.map(|(table, chain)| (table, chain, self.meets(table.family, chain)));
        met.filter(|(_, _, meets)| *meets != Truth::No).collect()
    }

    fn meets(&self, family: Family, chain: &Chain) -> Truth {
        match family {
            _ if chain.nat && !self.packet.states.may_be_first() => Truth::No,
            Family::Ip => Truth::from(!self.packet.v6),
            Family::Ip6 => Truth::from(self.packet.v6),
            Family::Inet if chain.hook == Some(Hook::Ingress) => Truth::Unknown,
            Family::Inet => Truth::Yes,
            Family::Arp => Truth::No,
            Family::Bridge | Family::Netdev => Truth::Unknown,
        }
    }

    /// Whether it may pass this one.
    fn base_chain(&mut self, place: Place<'a>) -> bool {
        let Packet { states, outbound, .. } = self.packet.clone();
        if place.base.priority.is_none_or(|priority| priority <= CONNTRACK) {
            self.packet.states = States::ALL;
        }
        if matches!(place.base.hook, Some(Hook::Ingress | Hook::Prerouting)) {
            self.packet.outbound = Device::Unknown; // there is no route yet
        }
        let left = self.chain(place, place.base);
        (self.packet.states, self.packet.outbound) = (states, outbound);
        if left.ended && place.base.drops {
            let policy = place.table.policy(&place.base.name);
            policy.into_iter().for_each(|policy| self.drop_by(policy));
        }
        left.accepted || (left.ended && !place.base.drops)
    }

    fn chain(&mut self, place: Place<'a>, chain: &'a Chain) -> Left {
        let mut left = Left::default();
        for (index, listed) in chain.rules.iter().enumerate() {
            if !self.rule(place, (chain, index), &listed.text, &mut left) {
                return left;
            }
        }
        Left { ended: true, ..left }
    }

    /// Whether the packet may come to the next rule.
    fn rule(&mut self, place: Place<'a>, at: At<'a>, text: &'a str, left: &mut Left) -> bool {
        self.steps += 1;
        if self.steps > STEPS || place.depth > DEPTH {
            self.fate.cut = true;
            return true;
        }
        let (matches, does) = match text.starts_with("-A ") {
            true => iptables::read(text, &self.packet, place.table),
            false => nft::read(text, &self.packet, place.table),
        };
        matches == Truth::No || self.act(place, at, does, left) || matches == Truth::Unknown
    }

    /// Whether the packet may come to the next rule when this one matches.
    fn act(&mut self, place: Place<'a>, at: At<'a>, does: Does<'a>, left: &mut Left) -> bool {
        match does {
            Does::GoOn => return true,
            Does::Accept => left.accepted = true,
            Does::Drop => self.drop_at(place, at),
            Does::Return => left.ended = true,
            Does::Jump(name) => return self.follow(place, name, left),
            Does::Goto(name) => left.ended |= self.follow(place, name, left),
            Does::Block(rules, comes_back) => {
                let ended = self.block(place, at, &rules, left);
                left.ended |= ended && !comes_back;
                return ended && comes_back;
            }
            Does::OneOf(choices) => return self.one_of(place, at, choices, left),
            Does::Destination => {
                self.packet.destination = End::default();
                left.accepted = true;
            }
            Does::Source => {
                self.packet.source = End::default();
                left.accepted = true;
            }
            Does::Anything => {
                self.drop_at(place, at);
                left.accepted = true;
                return true;
            }
        }
        false
    }

    /// Whether it may come to the end of this chain, or return.
    fn follow(&mut self, place: Place<'a>, name: &str, left: &mut Left) -> bool {
        let Some(chain) = place.table.chain(name).filter(|_| place.depth < DEPTH) else {
            self.fate.cut = true;
            return true;
        };
        let inner = self.chain(Place { depth: place.depth + 1, ..place }, chain);
        left.accepted |= inner.accepted;
        inner.ended
    }

    /// The same for rules that stand within a rule, which is what drops.
    fn block(&mut self, place: Place<'a>, at: At<'a>, rules: &[&'a str], left: &mut Left) -> bool {
        let mut inner = Left::default();
        let place = Place { depth: place.depth + 1, ..place };
        let ended = rules.iter().all(|text| self.rule(place, at, text, &mut inner));
        left.accepted |= inner.accepted;
        ended || inner.ended
    }

    fn one_of(&mut self, place: Place<'a>, at: At<'a>, choices: Vec<(Truth, Does<'a>)>, left: &mut Left) -> bool {
        let mut goes_on = false;
        for (holds, does) in choices.into_iter().filter(|(holds, _)| *holds != Truth::No) {
            goes_on |= self.act(place, at, does, left);
            if holds == Truth::Yes {
                return goes_on;
            }
        }
        true
    }

    fn drop_at(&mut self, place: Place<'a>, (chain, index): At<'a>) {
        let rule = place.table.rule(&chain.name, index);
        let through = |rule| Rule { base_chain: place.base.name.clone(), hook: place.base.hook, ..rule };
        rule.map(through).into_iter().for_each(|rule| self.drop_by(rule));
    }

    fn drop_by(&mut self, rule: Rule) {
        if self.fate.drops.len() == DROPS {
            self.fate.cut = true;
        } else if !self.fate.drops.contains(&rule) {
            self.fate.drops.push(rule);
        }
    }
}

#[cfg(test)]
mod tests;
