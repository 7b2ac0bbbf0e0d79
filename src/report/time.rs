//! Moments for people and for machines. RFC 3339 section 5.6 is the form that machines get.

use std::fmt::{self, Display, Formatter};

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

use crate::cite::Time;
use crate::report::TimeStyle;

/// A moment in UTC, RFC 3339 with nine digits of nanoseconds.
#[derive(Clone, Copy)]
pub(super) struct Rfc3339(pub(super) Time);

/// Day and second of a moment in UTC, for people.
pub fn utc(time: Time) -> String {
    Clock { style: TimeStyle::Utc, origin: time }.date()
}

const NANOSECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(9));

impl Display for Rfc3339 {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        NANOSECONDS.print_timestamp(&timestamp(self.0), jiff::fmt::StdFmtWrite(f)).map_err(|_| fmt::Error)
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Every 64-bit count of nanoseconds (years 1677 to 2262) is a time that jiff knows.
fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(time.0)).unwrap_or_default()
}

/// Shows the moments of one session.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    /// How.
    pub(super) style: TimeStyle,
    /// What relative times count from.
    pub(super) origin: Time,
}

impl Clock {
    /// A moment of the origin's clock with `digits` of the second's fraction: `+0.003`, or the time of day.
    pub(super) fn show(self, time: Time, digits: usize) -> String {
        match self.style {
            TimeStyle::Relative => seconds(i128::from(time.0) - i128::from(self.origin.0), digits),
            TimeStyle::Utc => of_day(time, TimeZone::UTC, digits),
            TimeStyle::Local => of_day(time, TimeZone::system(), digits),
        }
    }

    /// The day and second of the origin, with its zone.
    pub(super) fn date(self) -> String {
        let (zone, form) = match self.style {
            TimeStyle::Local => (TimeZone::system(), "%F %T %:z"),
            TimeStyle::Relative | TimeStyle::Utc => (TimeZone::UTC, "%F %T UTC"),
        };
        timestamp(self.origin).to_zoned_datetime(zone).strftime(form).to_string()
    }
}

fn of_day(time: Time, zone: TimeZone, digits: usize) -> String {
    timestamp(time).to_zoned_datetime(zone).strftime(&format!("%T%.{digits}f")).to_string()
}

/// Nanoseconds as signed seconds: `+1.250`; what rounds to zero is not negative.
pub(super) fn seconds(nanoseconds: i128, digits: usize) -> String {
    let seconds = format!("{:+.digits$}", nanoseconds as f64 / 1e9);
    match seconds.strip_prefix('-') {
        Some(zero) if !zero.contains(|digit| ('1'..='9').contains(&digit)) => format!("+{zero}"),
        _ => seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn machines_get_nine_digits_in_utc() {
        // date -u -d @1262304000 and friends
        for (nanoseconds, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (1_262_304_000_000_000_001, "2010-01-01T00:00:00.000000001Z"),
            (951_827_696_789_000_000, "2000-02-29T12:34:56.789000000Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
        ] {
            assert_eq!(Rfc3339(Time(nanoseconds)).to_string(), text);
        }
    }

    #[test]
    fn people_get_what_they_asked_for() {
        let clock = |style| Clock { style, origin: Time(951_827_696_789_000_000) };
        let later = Time(951_827_697_792_000_000);
        assert_eq!(clock(TimeStyle::Relative).show(later, 3), "+1.003");
        assert_eq!(clock(TimeStyle::Utc).show(later, 6), "12:34:57.792000");
        assert_eq!(clock(TimeStyle::Utc).date(), "2000-02-29 12:34:56 UTC");
    }

    proptest! {
        #[test]
        fn every_time_has_the_same_length_and_order(a: i64, b: i64) {
            let [one, other] = [a, b].map(|time| Rfc3339(Time(time)).to_string());
            prop_assert_eq!(one.len(), 30);
            prop_assert_eq!(one.cmp(&other), a.cmp(&b));
        }
    }
}
