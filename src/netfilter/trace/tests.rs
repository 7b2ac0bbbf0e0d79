#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::netfilter::Kind;
use crate::packet::Flags;

/// Records of Linux 6.18 about one SYN to `127.0.0.1:21` with the rules `tcp dport 21 jump ftp` (handle 3) in chain input
/// and `ip saddr 127.0.0.1 counter drop` (handle 4) in chain ftp, from the rule that asked for the trace on.
#[cfg(target_endian = "little")]
const RECORDED: [&str; 3] = [
    "b8000000110a000000000000000000000100000008000f00000000020800040000000003080006003afccd570f000200707265726f7574696e\
     6700000d0001006674707768795f31000000000c00030000000000000000080c00050008000100ffffffff08000a000000000106000b000304\
     0000180008004500003ccd97400040066f227f0000017f000001180009008dd200150b1fc20c00000000a002ffd7fe30000012000700000000\
     00000000000000000008000000",
    "b8000000110a000000000000000000000200000008000f00000000020800040000000003080006003afccd570a000200696e7075740000000b\
     00010066696c74657200000c00030000000000000000031400050008000100fffffffd080002006674700008000a000000000106000b000304\
     0000180008004500003ccd97400040066f227f0000017f000001180009008dd200150b1fc20c00000000a002ffd7fe30000012000700000000\
     00000000000000000008000000",
    "58000000110a000000000000000000000200000008000f00000000020800040000000003080006003afccd5708000200667470000b00010066\
     696c74657200000c00030000000000000000040c0005000800010000000000",
];

#[cfg(target_endian = "little")]
fn recorded(index: usize) -> Vec<u8> {
    let digits: Vec<u8> = RECORDED[index].chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap().to_ne_bytes();
    let mut bytes = [&length[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A record of packet `id` in table filter of family ip.
fn record(id: u32, chain: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let named = [attribute(ID, &id.to_be_bytes()), attribute(TABLE, b"filter\0"), attribute(CHAIN, chain.as_bytes())];
    let attributes = [named.concat(), attributes.concat()].concat();
    let length = u32::try_from(attributes.len() + 20).unwrap();
    [&length.to_ne_bytes()[..], &TRACE.to_ne_bytes(), &[0; 10], &[2, 0, 0, 0], &attributes].concat()
}

fn rule(handle: u64, code: i32, to_chain: Option<&str>) -> Vec<u8> {
    let code = attribute(VERDICT_CODE, &code.to_be_bytes());
    let chain = to_chain.map(|chain| attribute(VERDICT_CHAIN, chain.as_bytes())).unwrap_or_default();
    let verdict = attribute(VERDICT | 0x8000, &[code, chain].concat());
    [attribute(TYPE, &[0, 0, 0, 3]), attribute(RULE_HANDLE, &handle.to_be_bytes()), verdict].concat()
}

fn policy(code: u8) -> Vec<u8> {
    [attribute(TYPE, &[0, 0, 0, 1]), attribute(POLICY, &[0, 0, 0, code])].concat()
}

/// Headers of a SYN from `10.0.0.<source>:20` to `10.0.0.9:50000`.
fn headers(source: u8, seq: u32) -> Vec<u8> {
    let network = [&[0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, source, 10, 0, 0, 9][..]].concat();
    let transport = [&[0, 20, 0xc3, 0x50][..], &seq.to_be_bytes(), &[0; 4], &[0x50, 2, 0, 0, 0, 0, 0, 0]].concat();
    [attribute(NETWORK_HEADER, &network), attribute(TRANSPORT_HEADER, &transport)].concat()
}

/// Headers of an ICMP error from `10.0.0.1` to `10.0.0.9` with this type and code, as many of them as the kernel hands out.
fn error(kind: u8, code: u8) -> Vec<u8> {
    let network = [0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 9];
    let quoted = [0x45, 0, 5, 220, 0, 0, 0, 0, 64, 6, 0, 0];
    let transport = [&[kind, code, 0, 0, 0, 0, 5, 120][..], &quoted].concat();
    [attribute(NETWORK_HEADER, &network), attribute(TRANSPORT_HEADER, &transport)].concat()
}

const JUMP: i32 = -3;
const CONTINUE: i32 = -1;
const NF_DROP: i32 = 0;
const NF_ACCEPT: i32 = 1;

fn observe(trace: &mut Trace, datagrams: &[Vec<u8>]) -> Vec<Dropped> {
    datagrams.iter().flat_map(|datagram| trace.observe(Time(7), datagram)).collect()
}

#[test]
fn an_error_that_tells_the_path_mtu_is_told_and_no_other_one() {
    let of = |kind, code| {
        let mut trace = Trace::new();
        let dropped = observe(&mut trace, &[record(1, "output", &[error(kind, code), rule(3, NF_DROP, None)])]);
        (dropped.first().map(|it| (it.kind, it.source.to_string(), it.destination.to_string())), trace.unknown())
    };
    let ends = |from: &str, to: &str| (Kind::TooBig, from.to_owned(), to.to_owned());
    assert_eq!(of(3, 4), (Some(ends("10.0.0.1:0", "10.0.0.9:0")), 0));
    assert_eq!(of(3, 3), (None, 1));
    assert_eq!(of(0, 4), (None, 1));
}

#[cfg(target_endian = "little")]
#[test]
fn the_rule_of_a_chain_that_was_jumped_to_is_named() {
    let mut trace = Trace::new();
    let dropped = observe(&mut trace, &[recorded(0), recorded(1), recorded(2)]);
    let [dropped] = &dropped[..] else { panic!("one segment is dropped") };
    assert_eq!(dropped.source.to_string(), "127.0.0.1:36306");
    assert_eq!(dropped.destination.to_string(), "127.0.0.1:21");
    assert_eq!((dropped.kind, dropped.time), (Kind::Segment { flags: Flags::SYN, seq: 0x0b1f_c20c }, Time(7)));
    assert_eq!((dropped.inbound, dropped.outbound, dropped.translated), (Some(1), None, None));
    let rule = &dropped.rule;
    assert_eq!((rule.family, &*rule.table, &*rule.chain, &*rule.base_chain), (Family::Ip, "filter", "ftp", "input"));
    assert_eq!((rule.handle, trace.unreadable(), trace.unknown()), (Some(4), 0, 0));
}

#[test]
fn a_packet_that_passes_is_not_dropped() {
    let accepted = [
        record(1, "INPUT", &[headers(1, 5), rule(2, CONTINUE, None)]),
        record(1, "INPUT", &[rule(3, NF_ACCEPT, None)]),
        record(1, "INPUT", &[policy(1)]),
    ];
    assert_eq!(observe(&mut Trace::new(), &accepted), []);
}

#[test]
fn a_policy_has_no_handle() {
    let dropped = observe(&mut Trace::new(), &[record(1, "INPUT", &[headers(1, 5), policy(0)])]);
    assert_eq!((dropped[0].rule.handle, &*dropped[0].rule.text), (None, "policy drop"));
    assert!(!dropped[0].rule.rejects());
}

#[test]
fn packets_that_mix_are_kept_apart() {
    let mixed = [
        record(1, "INPUT", &[headers(1, 5), rule(2, CONTINUE, None)]),
        record(2, "INPUT", &[headers(2, 6), rule(2, CONTINUE, None)]),
        record(1, "INPUT", &[rule(3, NF_DROP, None)]),
        record(2, "INPUT", &[rule(4, NF_DROP, None)]),
    ];
    let dropped = observe(&mut Trace::new(), &mixed);
    let syn = |seq| Kind::Segment { flags: Flags::SYN, seq };
    assert!(
        dropped.iter().map(|dropped| (dropped.kind, dropped.rule.handle)).eq([(syn(5), Some(3)), (syn(6), Some(4))])
    );
}

#[test]
fn a_translation_on_the_way_is_told() {
    let translated = [
        record(1, "PREROUTING", &[headers(1, 5), policy(1)]),
        record(1, "FORWARD", &[headers(3, 5), rule(3, NF_DROP, None)]),
    ];
    let dropped = observe(&mut Trace::new(), &translated);
    let (source, _) = dropped[0].translated.unwrap();
    assert_eq!((dropped[0].source.to_string(), source.to_string()), ("10.0.0.1:20".into(), "10.0.0.3:20".into()));
    assert_eq!(dropped[0].rule.base_chain, "FORWARD");
}

#[test]
fn an_id_that_is_used_again_is_another_packet() {
    let again = [
        record(1, "PREROUTING", &[headers(1, 5), policy(1)]),
        record(1, "INPUT", &[headers(3, 6), rule(3, NF_DROP, None)]),
    ];
    let dropped = observe(&mut Trace::new(), &again);
    assert_eq!((dropped[0].source.to_string(), dropped[0].translated), ("10.0.0.3:20".into(), None));
}

#[test]
fn a_block_behind_jump_is_its_rule() {
    let block = [
        record(1, "INPUT", &[headers(1, 5), rule(10, JUMP, Some("__chain1\0"))]),
        record(1, "__chain1", &[rule(9, NF_DROP, None)]),
    ];
    let dropped = observe(&mut Trace::new(), &block);
    assert_eq!((&*dropped[0].rule.chain, dropped[0].rule.handle), ("INPUT", Some(10)));
}

#[test]
fn what_is_not_told_is_counted() {
    let mut trace = Trace::new();
    let without_headers = record(1, "INPUT", &[rule(3, NF_DROP, None)]);
    let mut cut = without_headers.clone();
    cut.pop();
    let nameless = record(1, "\0", &[policy(0)]);
    assert_eq!(observe(&mut trace, &[without_headers, cut, nameless]), []);
    assert_eq!((trace.unknown(), trace.unreadable()), (1, 2));
}

#[test]
fn no_more_than_two_generations_are_remembered() {
    let mut trace = Trace::new();
    let begun = |id: u32| record(id, "INPUT", &[headers(1, id), rule(2, CONTINUE, None)]);
    let count = u32::try_from(GENERATION).unwrap() * 3;
    for id in 0..count {
        trace.observe(Time(0), &begun(id));
        assert!(trace.young.len() + trace.old.len() <= 2 * GENERATION);
    }
    let end = |id: u32| record(id, "INPUT", &[rule(3, NF_DROP, None)]);
    assert_eq!(observe(&mut trace, &[end(count - 1), end(0)]).len(), 1);
}

proptest! {
    #[test]
    fn no_message_breaks_it(
        changes in prop::collection::vec((0_usize..200, any::<u8>()), 0..6),
        cut in 0_usize..300,
        bytes in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut datagram = record(1, "INPUT", &[headers(1, 5), rule(2, NF_DROP, Some("x"))]);
        for (at, value) in changes {
            let at = at % datagram.len();
            datagram[at] = value;
        }
        datagram.truncate(cut);
        let mut trace = Trace::new();
        observe(&mut trace, &[datagram, record(1, "INPUT", std::slice::from_ref(&bytes)), bytes]);
    }
}
