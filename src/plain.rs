//! Floor 0: printable ASCII, as almost every text of FTP is.
//!
//! What is plain needs no second look: no line end or Telnet command is in it, and nothing that would act on a terminal.

/// A one in each of eight bytes.
const EACH: u64 = 0x0101_0101_0101_0101;

/// Whether all bytes are printable ASCII, blanks included. Eight bytes are looked at together; the last eight may have been
/// looked at before.
#[inline]
pub(crate) fn is_plain(text: &[u8]) -> bool {
    match text.last_chunk() {
        Some(&last) => text.as_chunks().0.iter().chain([&last]).all(|&word| are_plain(word)),
        None => text.iter().all(|byte| matches!(byte, b' '..=b'~')),
    }
}

/// The line that a segment is, if it is one plain line with CR LF at its end.
#[inline]
pub(crate) fn line(segment: &[u8]) -> Option<&[u8]> {
    segment.strip_suffix(b"\r\n").filter(|line| is_plain(line))
}

/// The highest bit of a byte tells: that of one below a blank is set by the subtraction, that of DEL by the addition, and
/// that of any other which is not ASCII is set. Borrows and carries come from such bytes only.
#[inline]
fn are_plain(bytes: [u8; 8]) -> bool {
    let word = u64::from_ne_bytes(bytes);
    let told = word | word.wrapping_sub(0x20 * EACH) | word.wrapping_add(EACH);
    told & (0x80 * EACH) == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_ends_with_its_segment() {
        assert_eq!(line(b"226 Transfer complete.\r\n"), Some(&b"226 Transfer complete."[..]));
        for other in [&b"QUIT\n"[..], b"QUIT", b"USER a\r\nPASS b\r\n", b"\xff\xf2ABOR\r\n", b"CWD \0x\r\n"] {
            assert_eq!(line(other), None);
        }
    }

    proptest! {
        #[test]
        fn a_byte_that_is_not_plain_is_found_anywhere(length in 0_usize..40, at in any::<usize>(), byte in any::<u8>()) {
            let mut text = vec![b'~'; length];
            prop_assert!(is_plain(&text));
            if let Some(at) = at.checked_rem(length) {
                text[at] = byte;
                prop_assert_eq!(is_plain(&text), matches!(byte, b' '..=b'~'));
            }
        }
    }
}
