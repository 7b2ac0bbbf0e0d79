//! Floor 5: where packets come from.

pub mod file;
pub mod filter;
#[cfg(all(feature = "live", target_os = "linux"))]
pub mod live;
