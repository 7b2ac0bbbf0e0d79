//! All scenarios, by family.

mod established;
mod helper;
mod nat;
mod opening;
mod refused;
mod rules;
mod story;
mod success;

use crate::scenario::Scenario;

/// All of them.
pub(crate) fn all() -> Vec<Scenario> {
    [story::all(), opening::all(), established::all(), nat::all(), helper::all(), refused::all(), success::all()]
        .concat()
}
