//! Floor 2: connections and streams, made from segments.

pub mod connection;
pub mod half;
pub mod seq;
pub mod stream;
#[cfg(test)]
mod tests;
