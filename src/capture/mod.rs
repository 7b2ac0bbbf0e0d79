//! Floor 5: where packets come from.

pub mod file;
pub mod filter;
#[cfg(feature = "live")]
pub mod live;
