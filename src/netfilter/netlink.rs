//! Netlink messages of netfilter, taken apart: header, family, attributes.
//!
//! Read first: netlink(7); `linux/netlink.h`, `linux/netfilter/nfnetlink.h`. Headers are in the byte order of this machine,
//! values in network byte order.

/// A message (`nlmsghdr`), of one of netfilter's subsystems (`nfgenmsg`) if nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Subsystem in the high byte, message in the low byte.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// Address family or `NFPROTO_*`.
    pub family: u8,
    /// The attributes; see [`attributes`].
    pub attributes: &'a [u8],
    /// All that follows the header, for what is not of netfilter.
    pub payload: &'a [u8],
}

/// Length of `nlmsghdr` in bytes.
const HEADER: usize = 16;
/// Length of `nfgenmsg` in bytes.
const FAMILY: usize = 4;
/// Set in the type of an attribute that holds others, and of one in network byte order.
const NESTED_AND_ORDER: u16 = 0xc000;

/// The messages of one datagram, up to the first that is cut or malformed; that one is `None`.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = Option<Message<'_>>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = u32::from_ne_bytes(*rest.first_chunk().unwrap_or(&[0; 4]));
        let message = usize::try_from(length).ok().and_then(|length| rest.get(..length)).and_then(message);
        rest = match message {
            Some(_) => rest.get(aligned(length as usize)..).unwrap_or_default(),
            None => &[],
        };
        Some(message)
    })
}

fn message(bytes: &[u8]) -> Option<Message<'_>> {
    let &[_, _, _, _, k0, k1, f0, f1, ..] = bytes else { return None };
    let (kind, flags) = (u16::from_ne_bytes([k0, k1]), u16::from_ne_bytes([f0, f1]));
    let attributes = bytes.get(HEADER + FAMILY..)?;
    Some(Message { kind, flags, family: bytes[HEADER], attributes, payload: &bytes[HEADER..] })
}

/// Types and values of the attributes, up to the first that is cut or malformed.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let &[l0, l1, t0, t1] = rest.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = rest.get(4..length)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some((u16::from_ne_bytes([t0, t1]) & !NESTED_AND_ORDER, value))
    })
}

/// Value of the first attribute of this type.
pub fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|row| row.0 == wanted).map(|row| row.1)
}

/// Where what follows a header or an attribute of this length begins.
fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// A number of 32 bits.
pub fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// A number of 64 bits.
pub fn long_number(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_be_bytes)
}

/// A string, with or without the zero at its end.
pub fn string(value: &[u8]) -> Option<&str> {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    std::str::from_utf8(&value[..end]).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two messages with an attribute each: type 2 "ftp", and a nested type 5.
    #[cfg(target_endian = "little")]
    const TWO: [u8; 60] = [
        28, 0, 0, 0, 17, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 8, 0, 2, 0, b'f', b't', b'p', 0, //
        32, 0, 0, 0, 17, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 12, 0, 5, 0x80, 8, 0, 1, 0, 0, 0, 0, 7,
    ];

    #[cfg(target_endian = "little")]
    #[test]
    fn messages_and_attributes_come_apart() {
        let found: Vec<_> = messages(&TWO).map(|message| message.expect("whole")).collect();
        assert_eq!(
            found.iter().map(|message| (message.kind, message.family)).collect::<Vec<_>>(),
            [(0x0a11, 2), (0x0a11, 10)]
        );
        let [(2, name)] = attributes(found[0].attributes).collect::<Vec<_>>()[..] else { panic!("one attribute") };
        assert_eq!(string(name), Some("ftp"));
        let [(5, nested)] = attributes(found[1].attributes).collect::<Vec<_>>()[..] else { panic!("one attribute") };
        assert_eq!(attributes(nested).map(|(kind, value)| (kind, number(value))).collect::<Vec<_>>(), [(1, Some(7))]);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_cut_message_ends_the_datagram() {
        let found: Vec<_> = messages(&TWO[..TWO.len() - 1]).map(|message| message.is_some()).collect();
        assert_eq!(found, [true, false]);
        assert!(messages(&[0; 64]).eq([None]));
        assert!(messages(&[16, 0, 0]).eq([None]));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for message in messages(&bytes).flatten() {
                attributes(message.attributes).for_each(drop);
            }
            attributes(&bytes).for_each(drop);
        }
    }
}
