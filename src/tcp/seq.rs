//! Arithmetic on 32-bit sequence numbers, which wrap. Read RFC 9293 section 3.4 first.
//!
//! Two numbers are compared by the shorter way round the circle, so an answer holds as long as they lie less
//! than 2^31 apart; TCP's windows guarantee that (RFC 7323 section 2.3).

/// How far `to` lies ahead of `from`, in bytes; negative if it lies behind.
#[inline]
pub fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}

/// Whether `a` comes before `b`.
#[inline]
pub fn before(a: u32, b: u32) -> bool {
    distance(a, b) > 0
}

/// Lifts `seq` to the 64-bit number nearest to `near` that it stands for (nearest not below zero), so that
/// bytes can be counted past 4 GiB.
///
/// `near` is a number lifted before, for example the highest so far; the first may be the initial sequence
/// number itself.
#[inline]
pub fn lift(seq: u32, near: u64) -> u64 {
    let step = distance(near as u32, seq);
    near.checked_add_signed(i64::from(step)).unwrap_or(u64::from(seq))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn compares_across_the_wrap() {
        assert!(before(0xffff_fff0, 0x10));
        assert!(!before(0x10, 0xffff_fff0));
        assert!(!before(7, 7));
        assert_eq!(distance(0xffff_fffe, 3), 5);
        assert_eq!(distance(3, 0xffff_fffe), -5);
    }

    #[test]
    fn lifts_to_the_nearest() {
        assert_eq!(lift(5, 0xffff_fff0), 0x1_0000_0005);
        assert_eq!(lift(0xffff_fff0, 0x1_0000_0005), 0xffff_fff0);
        assert_eq!(lift(0x10, 0x5_0000_0000), 0x5_0000_0010);
        assert_eq!(lift(0xffff_fff0, 5), 0xffff_fff0, "never below zero");
    }

    proptest! {
        #[test]
        fn lifting_undoes_truncation(near in 0u64..1 << 62, step in -0x7fff_ffffi64..0x7fff_ffff) {
            let number = near.saturating_add_signed(step);
            prop_assume!(number > 0);
            prop_assert_eq!(lift(number as u32, near), number);
        }

        #[test]
        fn order_follows_distance(a: u32, step in 1i32..i32::MAX) {
            let b = a.wrapping_add_signed(step);
            prop_assert!(before(a, b) && !before(b, a));
            prop_assert_eq!(distance(a, b), step);
        }
    }
}
