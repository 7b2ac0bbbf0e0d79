//! From the log messages of the older iptables to the packets that were dropped, and by which rule.
//!
//! Read first: iptables-extensions(8), "TRACE" and "NFLOG"; `linux/netfilter/nfnetlink_log.h`. The older iptables writes a line
//! for each rule that a traced packet matches and for each policy that it meets, before it does what they say: so a
//! line of a rule that drops is a packet that is dropped.

use super::headers::Headers;
use super::netlink::{Message, attribute, messages, number, string};
use super::ruleset::Ruleset;
use super::{Dropped, Family, Hook, Rule, Witness};
use crate::cite::Time;

/// `NFNL_SUBSYS_ULOG`.
const ULOG: u16 = 4 << 8;
/// `NFULNL_MSG_PACKET`.
const PACKET: u16 = ULOG;
/// `NFULNL_MSG_CONFIG`.
const CONFIG: u16 = ULOG | 1;

// `NFULA_*`
const IFINDEX_INDEV: u16 = 4;
const IFINDEX_OUTDEV: u16 = 5;
const PAYLOAD: u16 = 9;
const PREFIX: u16 = 10;

/// The packets that a datagram of a log group tells to be dropped, read at `now`.
pub fn dropped(now: Time, datagram: &[u8], ruleset: &Ruleset) -> Vec<Dropped> {
    messages(datagram).flatten().filter_map(|message| read(now, &message, ruleset)).collect()
}

fn read(time: Time, message: &Message<'_>, ruleset: &Ruleset) -> Option<Dropped> {
    if message.kind != PACKET {
        return None;
    }
    let family = match message.family {
        2 => Family::Ip,
        10 => Family::Ip6,
        _ => return None,
    };
    let value = |wanted| attribute(message.attributes, wanted);
    let rule = ruleset.of_trace_line(family, string(value(PREFIX)?)?)?;
    let Headers { ends: (source, destination), kind } = Headers::read(value(PAYLOAD)?)?;
    let (inbound, outbound) = (value(IFINDEX_INDEV).and_then(number), value(IFINDEX_OUTDEV).and_then(number));
    let rule = through(rule, inbound.is_some(), outbound.is_some());
    let from = Witness::Trace;
    Some(Dropped { time, source, destination, translated: None, kind, inbound, outbound, rule, from })
}

/// The rule with the base chain that a packet with these interfaces came through to it. Tables that see a packet more than
/// once do not tell.
fn through(rule: Rule, inbound: bool, outbound: bool) -> Rule {
    let base = match (rule.hook, &*rule.table, inbound, outbound) {
        (None, "filter" | "security", true, false) => ("INPUT", Hook::Input),
        (None, "filter" | "security", true, true) => ("FORWARD", Hook::Forward),
        (None, "filter" | "security" | "raw", false, true) => ("OUTPUT", Hook::Output),
        (None, "raw", true, false) => ("PREROUTING", Hook::Prerouting),
        _ => return rule,
    };
    Rule { base_chain: base.0.to_owned(), hook: Some(base.1), ..rule }
}

/// The messages by which a socket asks for log group 0, to which the older iptables writes: headers only, at once. Each is
/// a datagram of its own and is acknowledged.
pub fn subscription() -> [Vec<u8>; 3] {
    const CFG_CMD: u16 = 1;
    const CFG_MODE: u16 = 2;
    const CFG_QTHRESH: u16 = 5;
    const BIND: u8 = 1;
    const COPY_PACKET: u8 = 2;
    /// Bytes: an IPv6 header and a TCP header with room for extensions.
    const HEADERS: u8 = 128;
    [
        configuration(CFG_CMD, &[BIND]),
        configuration(CFG_MODE, &[0, 0, 0, HEADERS, COPY_PACKET, 0]),
        configuration(CFG_QTHRESH, &1_u32.to_be_bytes()),
    ]
}

/// A request with one attribute.
fn configuration(kind: u16, value: &[u8]) -> Vec<u8> {
    /// `NLM_F_REQUEST` and `NLM_F_ACK`.
    const FLAGS: u16 = 1 | 4;
    let length = value.len() + 4;
    let padding = length.next_multiple_of(4) - length;
    let total = (16 + 4 + length + padding) as u32;
    let header = [&total.to_ne_bytes()[..], &CONFIG.to_ne_bytes(), &FLAGS.to_ne_bytes(), &[0; 8]].concat();
    let family_and_group = [0; 4];
    let attribute = [&(length as u16).to_ne_bytes()[..], &kind.to_ne_bytes(), value, &[0; 3][..padding]].concat();
    [&header[..], &family_and_group, &attribute].concat()
}

/// The error number in an acknowledgment; 0 if the request was granted, none if this is no acknowledgment.
pub fn acknowledged(datagram: &[u8]) -> Option<i32> {
    /// `NLMSG_ERROR`: an error number follows the header.
    const ERROR: [u8; 2] = 2_u16.to_ne_bytes();
    let is_one = datagram.get(4..6)? == ERROR;
    let number = datagram.get(16..20)?.try_into().ok().map(i32::from_ne_bytes)?;
    is_one.then_some(number.wrapping_neg())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::netfilter::{Kind, Tool};
    use crate::packet::Flags;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = [&((value.len() + 4) as u16).to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// A SYN from `10.0.0.1:20` to `10.0.0.9:50000` that came in through interface 3.
    fn logged(prefix: &str) -> Vec<u8> {
        let packet = [
            &[0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 9][..],
            &[0, 20, 0xc3, 0x50, 0, 0, 0, 5, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0],
        ];
        let attributes = [
            attribute(IFINDEX_INDEV, &[0, 0, 0, 3]),
            attribute(PREFIX, format!("{prefix}\0").as_bytes()),
            attribute(PAYLOAD, &packet.concat()),
        ];
        let attributes = attributes.concat();
        let length = (attributes.len() + 20) as u32;
        [&length.to_ne_bytes()[..], &PACKET.to_ne_bytes(), &[0; 10], &[2, 0, 0, 0], &attributes].concat()
    }

    fn ruleset() -> Ruleset {
        let mut ruleset = Ruleset::default();
        let saved = "*filter\n:INPUT ACCEPT [0:0]\n:FTP - [0:0]\n-A INPUT -j FTP\n-A FTP -p tcp -j DROP\nCOMMIT\n";
        ruleset.add_iptables_save(saved, Family::Ip, Tool::IptablesLegacy);
        ruleset
    }

    #[test]
    fn a_line_of_a_rule_that_drops_is_a_drop() {
        let dropped = dropped(Time(7), &logged("TRACE: filter:FTP:rule:1 "), &ruleset());
        let [dropped] = &dropped[..] else { panic!("one segment is dropped") };
        assert_eq!(dropped.source.to_string(), "10.0.0.1:20");
        assert_eq!(dropped.kind, Kind::Segment { flags: Flags::SYN, seq: 5 });
        assert_eq!((dropped.inbound, dropped.outbound), (Some(3), None));
        let rule = &dropped.rule;
        assert_eq!((&*rule.text, rule.position), ("-A FTP -p tcp -j DROP", Some(1)));
        assert_eq!((&*rule.base_chain, rule.hook), ("INPUT", Some(Hook::Input)));
    }

    #[test]
    fn other_lines_are_not() {
        for prefix in ["TRACE: filter:INPUT:rule:1 ", "TRACE: filter:INPUT:policy:2 ", "dropped: "] {
            assert_eq!(dropped(Time(7), &logged(prefix), &ruleset()), [], "{prefix}");
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn an_acknowledgment_carries_an_error_number() {
        let acknowledgment = |error: i32| [&[36, 0, 0, 0, 2, 0][..], &[0; 10], &error.to_ne_bytes(), &[0; 16]].concat();
        assert_eq!(acknowledged(&acknowledgment(0)), Some(0));
        assert_eq!(acknowledged(&acknowledgment(-1)), Some(1));
        assert_eq!(acknowledged(&logged("")), None);
        assert_eq!(acknowledged(&[]), None);
    }

    proptest! {
        #[test]
        fn no_message_breaks_it(changes in prop::collection::vec((0_usize..200, any::<u8>()), 0..6), cut in 0_usize..200) {
            let mut datagram = logged("TRACE: filter:FTP:rule:1 ");
            for (at, value) in changes {
                let at = at % datagram.len();
                datagram[at] = value;
            }
            datagram.truncate(cut);
            dropped(Time(0), &datagram, &ruleset());
            acknowledged(&datagram);
        }
    }
}
