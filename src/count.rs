//! Floor 0: counts as people read them.

/// A count with its noun: `1 session`, `2 sessions`.
pub(crate) fn counted(count: impl Into<u64>, noun: &str) -> String {
    match count.into() {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn counts_have_the_right_number() {
        assert_eq!((&*counted(1u8, "byte"), &*counted(0u64, "byte")), ("1 byte", "0 bytes"));
    }
}
