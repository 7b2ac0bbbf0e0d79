//! When and where: the time of a packet and its frame number in one capture.
//!
//! Every statement that `ftpwhy` makes points at packets; this is the pointer.

use std::time::Duration;

/// Nanoseconds since 1970-01-01 00:00:00 UTC, as a capture file gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// The duration from this time to `later`; zero if `later` comes first.
    pub fn until(self, later: Time) -> Duration {
        Duration::from_nanos(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// This time moved by `by` into the future.
    pub fn plus(self, by: Duration) -> Time {
        Time(self.0.saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// This time moved by `by` into the past.
    pub fn minus(self, by: Duration) -> Time {
        Time(self.0.saturating_sub(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)))
    }
}

/// One frame of one tap. Sessions consist of little else, so it takes no more than its 14 bytes.
#[repr(Rust, packed(2))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// Capture time.
    pub time: Time,
    /// Frame number within its file, from 1, as Wireshark counts.
    pub frame: u32,
    /// Which of the tap's files, from 0 (a rotated capture has several).
    pub file: u16,
}
