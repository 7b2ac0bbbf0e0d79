//! Floor 3: from the packets of each tap to the sessions of the whole line.
//!
//! [`tracker`] follows one tap and yields a [`view`] a session; [`join`] puts the views of one session together.

mod dialogue;
mod flow;
pub mod join;
mod lifetime;
mod orphans;
pub mod place;
mod strangers;
#[cfg(test)]
mod tests;
mod timers;
pub mod tracker;
mod transfers;
pub mod view;
