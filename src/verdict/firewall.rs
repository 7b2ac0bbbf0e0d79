//! What the rules of a tap's own host say of a packet that was lost on that host, where the kernel's trace does not tell.
//!
//! Read first: [`crate::netfilter::evaluate`]. The rules are asked what they may do with the packet; what counted nothing
//! meanwhile is out. A rule is named only if it is the last one left and either nothing else can become of the packet, or its
//! own counter moved. Else the hooks are told, and who is left. The stretch stays what the packets tell: rules that could
//! have dropped something prove nothing about a packet that may have been lost elsewhere; but of a SYN that the host's own
//! socket sends and no interface shows, what the rules explain they are taken for.

mod loss;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::cite::{At, Time};
use crate::language::{Message, Text, message, say};
use crate::netfilter::evaluate::{Device, Fate, Packet, Way};
use crate::netfilter::ruleset::Ruleset;
use crate::netfilter::snapshot::Snapshot;
use crate::netfilter::{Hook, Rule, Witness};
use crate::packet::Flags;
use crate::verdict::case::Case;
use crate::verdict::netfilter::{Named, host_of};
use crate::verdict::{Confidence, Evidence, Finding, Lost, Mechanism, Source};
use loss::Loss;

/// What is known of netfilter on the host of a tap.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Its addresses, where they were not compared with those of the tap's own end yet.
    pub addresses: Vec<IpAddr>,
    /// All its rules at several times, the earliest first; none if they cannot be read.
    pub lists: Vec<Listing>,
    /// The device that all packets come in and go out by, if there is but one.
    pub device: Device,
    /// The kernel assigns helpers by port, without a rule (`nf_conntrack_helper`).
    pub helpers: bool,
}

/// All rules, as they were listed within this time.
#[derive(Clone, Debug)]
pub struct Listing {
    /// When it was asked for.
    pub since: Time,
    /// When it was complete.
    pub until: Time,
    /// The rules.
    pub rules: Arc<Ruleset>,
}

impl Host {
    /// What snapshots tell, the earliest first.
    pub fn of(states: &[Snapshot]) -> Host {
        let whole = states.iter().filter(|state| state.all_rules);
        let listing = |state: &Snapshot| Listing { since: state.time, until: state.time, rules: state.rules.clone() };
        let names: BTreeSet<&str> =
            states.iter().flat_map(|state| &state.interfaces).map(|interface| &*interface.0).collect();
        let mut outside = names.into_iter().filter(|name| *name != "lo");
        let device = match (outside.next(), outside.next()) {
            (Some(only), None) => Device::Named(only.to_owned()),
            _ => Device::Outside,
        };
        Host {
            addresses: states.iter().flat_map(Snapshot::addresses).collect(),
            lists: whole.map(listing).collect(),
            device,
            helpers: states.iter().any(Snapshot::helps),
        }
    }
}

/// What drops packets on a host whose rules drop none.
const NO_RULE: &Message = message!(
    "its rules let this packet pass, so look elsewhere on that host: `nstat -az | grep -E 'IPReversePathFilter|ListenOverflows'`, programs of XDP and tc, the network namespace of a container"
);

/// Suspects that are named in a line.
const TOLD: usize = 3;

/// A finding with what the rules add to it.
pub(super) fn ask(case: &Case<'_>, finding: Finding) -> (Finding, Option<Named>) {
    let Some((host, lost)) = loss::on_own_host(case, &finding) else { return (finding, None) };
    let own = host_of(case, lost.sight);
    let inquiry = inquire(host, &lost, finding.mechanism);
    let is_told = || inquiry.as_ref().is_some_and(|inquiry| inquiry.culprit(&lost).is_some());
    if lost.has_passed && !(lost.is_answerable && is_told()) {
        return (finding, None);
    }
    if finding.stretch != own && !inquiry.as_ref().is_some_and(|inquiry| inquiry.explains(&lost)) {
        return (finding, None);
    }
    let finding = Finding { stretch: own, ..finding };
    let Some(inquiry) = inquiry else { return (with(finding, lost.hooks_told(case)), None) };
    match inquiry.culprit(&lost) {
        Some((rule, from)) => {
            let lost_with = lost.lost_by(rule, finding.lost);
            let is_proven = inquiry.is_sure() && inquiry.is_enclosed;
            let confidence = if is_proven { finding.confidence } else { finding.confidence.min(Confidence::Likely) };
            let named = Named { on: case.place(lost.sight), rule: rule.clone(), from, drops_errors: false };
            let told = [Some(inquiry.line(&lost, inquiry.accusation(&lost, rule, from))), inquiry.unrelated(&lost)];
            (with(Finding { confidence, lost: lost_with, ..finding }, told.into_iter().flatten()), Some(named))
        }
        None => {
            let mut finding = finding;
            finding.passes_rules = finding.mechanism == Mechanism::SilentDrop && inquiry.let_it_pass;
            finding.notes.extend(finding.passes_rules.then(|| NO_RULE.into()));
            let told = [Some(inquiry.line(&lost, inquiry.suspicion(&lost))), inquiry.unrelated(&lost)];
            (with(finding, told.into_iter().flatten()), None)
        }
    }
}

fn with(mut finding: Finding, evidence: impl IntoIterator<Item = Evidence>) -> Finding {
    finding.evidence.extend(evidence);
    finding
}

/// A rule that may have dropped the packet.
#[derive(Debug)]
struct Suspect {
    rule: Rule,
    /// Packets that it counted since before the first one was lost, if that is known.
    counted: Option<u64>,
}

/// What the rules say.
#[derive(Debug)]
struct Inquiry {
    /// When the rules were last listed.
    at: Time,
    suspects: Vec<Suspect>,
    /// The packet, and its answer, may get through.
    may_pass: bool,
    /// No rule may drop either.
    let_it_pass: bool,
    /// Not all suspects are known.
    cut: bool,
    /// The rules were listed before and after: what changes them in between and back is as good as never.
    is_enclosed: bool,
    /// A rule lets related connections pass, and none can be, since no helper is assigned.
    nothing_is_related: bool,
}

/// Asks the rules before and after; none if there are no lists.
fn inquire(host: &Host, lost: &Loss, mechanism: Mechanism) -> Option<Inquiry> {
    let Listing { since, until: at, rules: after } = host.lists.last()?;
    let earlier = host.lists.iter().rev().find(|list| list.until <= lost.began);
    let before = earlier.map(|list| &list.rules).filter(|_| lost.began < *since);
    let mut rules: Vec<Rule> = Vec::new();
    let (mut may_pass, mut cut) = (false, false);
    for ruleset in before.into_iter().filter(|before| before != &after).chain([after]) {
        let fate = lost.fate(ruleset, host);
        may_pass |= fate.may_pass;
        cut |= fate.cut;
        let new: Vec<Rule> = fate.drops.into_iter().filter(|rule| !rules.contains(rule)).collect();
        rules.extend(new);
    }
    let let_it_pass = rules.is_empty() && may_pass && !cut;
    let suspects = rules.into_iter().filter(|rule| answers_so(rule, mechanism)).map(|rule| {
        let counted = before.and_then(|before| match before.counted(&rule) {
            Some(then) => after.counted(&rule)?.checked_sub(then),
            // it is new, or made anew: what it counted came since then, and what it did not count tells nothing
            None => after.counted(&rule).filter(|&counted| counted > 0),
        });
        // the policy of a chain that nft(8) made counts nothing, and iptables-nft-save(8) prints zero
        let counted = counted.filter(|&counted| counted > 0 || rule.position.is_some());
        Suspect { rule, counted }
    });
    let suspects = suspects.filter(|suspect| suspect.counted != Some(0)).collect();
    let nothing_is_related = !loss::has_helper(after, host) && lets_related_pass(after, lost.way);
    Some(Inquiry { at: *at, suspects, may_pass, let_it_pass, cut, is_enclosed: before.is_some(), nothing_is_related })
}

/// Whether what a rule does to a packet can look so: a refusal takes a rule that refuses.
fn answers_so(rule: &Rule, mechanism: Mechanism) -> bool {
    let resets = rule.text.contains("tcp reset") || rule.text.contains("tcp-reset");
    match mechanism {
        Mechanism::TcpReset | Mechanism::Interrupted => rule.rejects() && resets,
        Mechanism::IcmpReject => rule.rejects() && !resets,
        _ => true,
    }
}

/// A rule of a chain on this way names related connections.
fn lets_related_pass(ruleset: &Ruleset, way: Way) -> bool {
    let hook = match way {
        Way::Input => Hook::Input,
        Way::Forward => Hook::Forward,
        Way::Output => Hook::Output,
    };
    let tables = ruleset.tables.iter().filter(|table| table.chains.iter().any(|chain| chain.hook == Some(hook)));
    let mut rules = tables.flat_map(|table| &table.chains).flat_map(|chain| &chain.rules);
    rules.any(|rule| rule.text.to_ascii_lowercase().contains("related"))
}

impl Inquiry {
    /// By the rules nothing else can become of the packet than that a suspect drops it.
    fn is_sure(&self) -> bool {
        !self.may_pass && !self.cut
    }

    /// The rules tell that the packet was lost to them, though perhaps not to which.
    fn explains(&self, lost: &Loss) -> bool {
        self.is_sure() && !self.suspects.is_empty() || self.culprit(lost).is_some()
    }

    /// The rule that dropped the packet, if it is clear which.
    fn culprit(&self, lost: &Loss) -> Option<(&Rule, Witness)> {
        let [Suspect { rule, counted }] = &self.suspects[..] else { return None };
        match counted {
            _ if self.cut => None,
            Some(_) if self.is_sure() => Some((rule, Witness::Counter)),
            Some(counted) if lost.could_count(rule, *counted) && counts_what_it_drops(rule) => {
                Some((rule, Witness::Counter))
            }
            None if self.is_sure() && lost.was_sent => Some((rule, Witness::Ruleset)),
            _ => None,
        }
    }

    fn line(&self, lost: &Loss, text: Text) -> Evidence {
        let at = Some(At { time: self.at, ..At::default() });
        Evidence { sight: lost.sight, at, until: None, source: Some(Source::Rules), text }
    }

    fn accusation(&self, lost: &Loss, rule: &Rule, from: Witness) -> Text {
        let moved = self.suspects.iter().find_map(|suspect| suspect.counted).unwrap_or(0);
        let what = lost.what.clone();
        let what = if lost.is_answer(rule) { say!("the answer to {what}", what) } else { what };
        let rule = rule.words();
        match from {
            Witness::Counter => {
                say!("{rule} drops {what}: its counter rose by {moved} meanwhile", rule, what, moved)
            }
            Witness::Trace | Witness::Ruleset => {
                say!("{rule} drops {what}: by the rules nothing else can become of it", rule, what)
            }
        }
    }

    fn suspicion(&self, lost: &Loss) -> Text {
        let place = lost.hooks();
        let Some(rules) = self.named() else {
            return match () {
                () if self.let_it_pass => say!("{place}; the rules of this host let it pass", place),
                () if self.may_pass && !self.cut => {
                    say!("{place}; what of the rules may drop it has counted nothing", place)
                }
                () => say!("{place}; the rules of this host do not tell by what", place),
            };
        };
        match self.is_sure() {
            true => say!("{place}; by the rules one of these drops it: {rules}", place, rules),
            false => say!("{place}; by the rules these may drop it: {rules}", place, rules),
        }
    }

    /// The suspects; none if there are none.
    fn named(&self) -> Option<Text> {
        let rules = self.suspects.iter().take(TOLD).map(|suspect| suspect.rule.words());
        let rules = rules.reduce(|rules, next| say!("{rules} or {next}", rules, next))?;
        Some(match self.suspects.len().saturating_sub(TOLD) {
            0 => rules,
            count => say!("{rules} or {count} more", rules, count),
        })
    }

    /// That what the rules let pass as related cannot be.
    fn unrelated(&self, lost: &Loss) -> Option<Evidence> {
        let is_it = self.nothing_is_related && lost.is_data && lost.flags == Flags::SYN && !self.suspects.is_empty();
        is_it.then(|| {
            let text = say!("no rule of this host assigns the FTP helper, so no data connection is RELATED to it");
            self.line(lost, text)
        })
    }
}

/// Whether all that a rule counts it also drops: in nft a counter counts what comes as far as to it.
fn counts_what_it_drops(rule: &Rule) -> bool {
    rule.text.starts_with("-A ") || rule.text.contains("counter drop") || rule.text.contains("counter reject")
}

impl Loss {
    /// Where on this host the packet may have been lost, as the frames tell alone.
    fn hooks(&self) -> Text {
        let what = self.what.clone();
        match self.way {
            Way::Input if self.is_answerable => {
                say!("{what} came in and was lost at the hook prerouting or input, or its answer at output", what)
            }
            Way::Input => say!("{what} came in and was lost at the hook prerouting or input", what),
            Way::Forward if self.is_long => {
                say!(
                    "{what} came in and was lost at the hook prerouting, forward or postrouting, or is too long for the next link and the ICMP error that says so was lost at the hook output",
                    what
                )
            }
            Way::Forward => {
                say!("{what} came in and was lost at the hook prerouting, forward or postrouting", what)
            }
            Way::Output => say!("{what} was lost at the hook output or postrouting", what),
        }
    }

    /// Whether a rule that drops nothing but this packet counts as much. What no tap saw may have been sent a little more
    /// often than is known; an answer is sent for each SYN, and again by its own clock.
    fn could_count(&self, rule: &Rule, packets: u64) -> bool {
        const UNSEEN: u64 = 2;
        self.times.is_some_and(|times| {
            let most = match self.cited {
                _ if self.is_answer(rule) => times * 3,
                Some((_, None)) => times,
                _ => times + UNSEEN,
            };
            (times..=most).contains(&packets)
        })
    }

    /// A rule on the way out drops no packet that came in, but the answer to it.
    fn is_answer(&self, rule: &Rule) -> bool {
        self.way == Way::Input && matches!(rule.hook, Some(Hook::Output | Hook::Postrouting | Hook::Egress))
    }

    /// What was lost if it is this rule that drops.
    fn lost_by(&self, rule: &Rule, lost: Option<Lost>) -> Option<Lost> {
        match lost {
            Some(Lost::DataSyn) if self.is_answer(rule) => Some(Lost::DataSynAck),
            Some(Lost::ControlSyn) if self.is_answer(rule) => Some(Lost::ControlSynAck),
            lost => lost,
        }
    }

    /// The same as evidence, where there is a packet or a socket to cite.
    fn hooks_told(&self, case: &Case<'_>) -> Option<Evidence> {
        self.cited
            .filter(|_| !self.has_passed)
            .map(|(at, source)| Evidence { source, ..case.seen(self.sight, at, self.hooks()) })
    }

    /// What the rules may do with the packet, and with its answer if that is sent.
    fn fate(&self, ruleset: &Ruleset, host: &Host) -> Fate {
        let mut fate = ruleset.fate(&self.packet(ruleset, host), self.way);
        if self.has_passed {
            fate = Fate { may_pass: true, ends: fate.ends, ..Fate::default() };
        }
        if !fate.may_pass {
            return fate;
        }
        let answers: Vec<(Packet, Way)> = self.answers(ruleset, host, fate.ends);
        let mut answered = answers.is_empty();
        for (packet, way) in answers {
            let answer = ruleset.fate(&packet, way);
            answered |= answer.may_pass;
            fate.cut |= answer.cut;
            let new: Vec<Rule> = answer.drops.into_iter().filter(|rule| !fate.drops.contains(rule)).collect();
            fate.drops.extend(new);
        }
        fate.may_pass = answered;
        fate
    }
}

#[cfg(test)]
mod tests;
