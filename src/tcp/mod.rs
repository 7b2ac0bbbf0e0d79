//! Floor 2: connections and streams, made from segments.

pub mod seq;
pub mod stream;
