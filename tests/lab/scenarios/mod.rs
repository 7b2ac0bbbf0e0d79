//! All scenarios, by family.

mod established;
mod fxp;
mod helper;
mod inspected;
mod limited;
mod nat;
mod opening;
mod policy;
mod refused;
mod rules;
mod rulesets;
mod story;
mod success;
mod wire;

use crate::scenario::Scenario;

/// All of them.
pub(crate) fn all() -> Vec<Scenario> {
    [
        story::all(),
        opening::all(),
        policy::all(),
        rulesets::all(),
        established::all(),
        nat::all(),
        helper::all(),
        inspected::all(),
        limited::all(),
        refused::all(),
        wire::all(),
        fxp::all(),
        success::all(),
    ]
    .concat()
}
