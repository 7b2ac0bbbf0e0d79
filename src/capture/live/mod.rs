//! Captures as they happen, on Linux.

pub mod keeper;
pub mod nflog;
pub mod tracer;
