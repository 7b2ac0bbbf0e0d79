//! What to do about a verdict: the text, and the exact commands with the session's own ports and addresses.
//!
//! `PLANS` has a row for every rule: the plan that turns its finding into remedies, likeliest first. `named` speaks
//! of the very rule where that is known. `scene` says who is suspected and what should have passed, `path`, `stall`, `address`
//! and `program` hold the plans, `firewall` the commands of the packet filters. Nothing that an end said goes into a command
//! but numbers and parsed addresses.

mod address;
mod firewall;
mod named;
mod path;
mod program;
mod scene;
mod stall;

use crate::language::{Text, say};
use crate::line::Owner;
use crate::verdict::case::Case;
use crate::verdict::{Finding, Named, Rule};
use scene::{On, Scene};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// Where: `client`, `server`, `router` (any box between), or `capture` (where the next capture is to be taken).
    pub on: &'static str,
    /// What, in a sentence or a few.
    pub text: Text,
    /// Commands or settings, each with the tool they belong to. One tool is enough; the commands of one tool go together, in
    /// order.
    pub commands: Vec<(&'static str, String)>,
}

/// Commands or settings with their tools.
type Commands = Vec<(&'static str, String)>;

impl Remedy {
    /// The first thing to do: "On the client, " and what.
    fn new(on: On, what: Text, commands: Commands) -> Remedy {
        Remedy { on: on.name(), text: say!("On {on}, {what}", on = on.words(), what), commands }
    }

    /// Another way to the same end.
    fn or(on: On, what: Text, commands: Commands) -> Remedy {
        Remedy { on: on.name(), text: say!("Or, on {on}, {what}", on = on.words(), what), commands }
    }
}

/// One sentence after the other.
fn both(one: Text, more: Text) -> Text {
    say!("{one} {more}", one, more)
}

/// More than this nobody tries.
const MAX_REMEDIES: usize = 4;

/// What to do about a finding, likeliest first.
pub(super) fn remedies(
    case: &Case<'_>,
    rule: &Rule,
    finding: &Finding,
    owner: Owner,
    named: Option<&Named>,
) -> Vec<Remedy> {
    let scene = Scene { case, finding, owner, rule_is_known: named.is_some() };
    let plan = PLANS.iter().find(|(id, _)| *id == rule.id).map(|(_, plan)| plan);
    let mut remedies: Vec<Remedy> = named.and_then(|named| named::before(&scene, named)).into_iter().collect();
    remedies.extend(plan.map(|plan| plan(&scene)).unwrap_or_default());
    remedies.truncate(MAX_REMEDIES);
    remedies
}

/// From a scene to what to do.
type Plan = fn(&Scene<'_>) -> Vec<Remedy>;

/// A plan for every rule, by its id.
const PLANS: &[(&str, Plan)] = &[
    ("C1", path::opening),
    ("C2", path::refused),
    ("C3", path::reset),
    ("C5", path::answers),
    ("C6", path::opening),
    ("C7", stall::control_lost),
    ("C10", stall::control_lost),
    ("C11", program::silent_server),
    ("C12", program::other_protocol),
    ("C13", program::turned_away),
    ("C14", program::server_log),
    ("C15", program::already_over),
    ("C16", path::own_output),
    ("C17", program::accepts_nothing),
    ("N1", address::client_behind_nat),
    ("N2", address::server_behind_nat),
    ("N3", address::hairpin),
    ("N4", address::rewritten),
    ("N5", program::negotiation_refused),
    ("N6", address::server_behind_nat),
    ("O1", path::opening),
    ("O2", path::refused),
    ("O3", path::reset),
    ("O4", path::forged_reset),
    ("O5", path::opening),
    ("O6", path::answers),
    ("O7", path::opening),
    ("T1", stall::segments),
    ("T2", stall::path_mtu),
    ("T3", stall::interrupted),
    ("T4", program::tls_resumption),
    ("T5", program::foreign_source),
    ("T6", program::refusal),
    ("T7", program::ended),
    ("T8", stall::silence),
    ("V1", |_| Vec::new()),
    ("V2", program::capture_longer),
    ("V3", program::capture_all),
    ("V4", program::capture_all),
    ("V6", program::capture_all),
    ("V7", program::capture_all),
    ("V8", path::encrypted),
    ("V9", program::between_servers),
];

#[cfg(test)]
mod tests {
    use super::PLANS;
    use crate::verdict::RULES;

    #[test]
    fn every_rule_has_one_plan_and_every_plan_a_rule() {
        let mut rules: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
        let mut plans: Vec<_> = PLANS.iter().map(|(id, _)| *id).collect();
        rules.sort_unstable();
        plans.sort_unstable();
        assert_eq!(plans, rules);
    }
}
