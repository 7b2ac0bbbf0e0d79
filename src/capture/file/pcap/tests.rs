//! pcap files built byte by byte, and what must come of them.

#![allow(clippy::unwrap_used)]

use super::super::facts::NoteKind;
use super::super::samples::{Bytes, notes, read};
use super::*;

const MICRO: u32 = 0xa1b2_c3d4;

fn two_packets(order: Order, magic: u32) -> Vec<u8> {
    Bytes::pcap(order, magic, 65535, 1).record(7, 8, 60, b"first").record(9, 10, 3, b"abc").bytes
}

#[test]
fn micro_and_nanoseconds_in_both_byte_orders() {
    for order in [Order::Little, Order::Big] {
        for (magic, unit, format) in [(MICRO, 1000, Format::Pcap), (0xa1b2_3c4d, 1, Format::PcapNanosecond)] {
            let (seen, facts) = read(&two_packets(order, magic)).unwrap();
            let times: Vec<_> = seen.iter().map(|frame| frame.time).collect();
            assert_eq!(times, [7_000_000_000 + 8 * unit, 9_000_000_000 + 10 * unit]);
            assert_eq!((seen[0].frame, seen[1].frame), (1, 2));
            assert_eq!((&seen[0].bytes[..], &seen[1].bytes[..]), (&b"first"[..], &b"abc"[..]));
            assert_eq!((seen[0].original_len, seen[1].original_len), (60, 3));
            assert_eq!(facts.files[0].format, Some(format));
            assert_eq!((facts.files[0].packets, facts.files[0].snaplen), (2, Some(65535)));
            assert_eq!((facts.notes.len(), facts.lost()), (0, None));
        }
    }
}

/// pkttype as in Linux's if_packet.h: 0 host, 2 multicast, 3 other host, 4 outgoing.
#[test]
fn the_modified_format_tells_the_direction() {
    for order in [Order::Little, Order::Big] {
        let file = [0, 2, 3, 4].into_iter().fold(Bytes::pcap(order, 0xa1b2_cd34, 96, 1), |file, kind| {
            file.u32s(&[1, 2, 3, 3, 9]).u16(0x0800).data(&[kind, 0]).data(b"abc")
        });
        let (seen, facts) = read(&file.bytes).unwrap();
        let directions: Vec<_> = seen.iter().map(|frame| frame.direction).collect();
        let (incoming, outgoing) = (Some(Direction::Incoming), Some(Direction::Outgoing));
        assert_eq!(directions, [incoming, incoming, None, outgoing]);
        assert!(seen.iter().all(|frame| frame.bytes == b"abc" && frame.time == 1_000_002_000));
        assert_eq!(facts.files[0].format, Some(Format::PcapModified));
    }
}

#[test]
fn the_link_type_is_read_without_the_length_of_the_check_sequence() {
    let (seen, facts) = read(&Bytes::pcap(Order::Big, MICRO, 0, 0x4400_0071).record(0, 0, 1, b"x").bytes).unwrap();
    assert_eq!(seen[0].link_type, 113);
    assert_eq!((&facts.files[0].link_types[..], facts.files[0].snaplen), (&[113][..], None));
}

#[test]
fn files_before_version_2_4_may_have_the_lengths_the_wrong_way_round() {
    let header = |minor| Bytes::new(Order::Little).u32(MICRO).u16(2).u16(minor).u32s(&[0, 0, 65535, 1]);
    let file = header(3).u32s(&[0, 0, 60, 2]).data(b"ab").u32s(&[0, 0, 2, 60]).data(b"cd");
    let (seen, _) = read(&file.bytes).unwrap();
    assert_eq!((&seen[0].bytes[..], seen[0].original_len), (&b"ab"[..], 60));
    assert_eq!((&seen[1].bytes[..], seen[1].original_len), (&b"cd"[..], 60));
    let (seen, _) = read(&header(4).u32s(&[0, 0, 2, 1]).data(b"ab").bytes).unwrap();
    assert_eq!((&seen[0].bytes[..], seen[0].original_len), (&b"ab"[..], 2));
}

#[test]
fn the_longest_packet_is_given_and_longer_ones_are_passed_over_where_the_file_allows_them() {
    let longest = vec![7; MAX_PACKET as usize];
    let longer = vec![8; MAX_PACKET as usize + 1];
    let file = |snaplen| {
        Bytes::pcap(Order::Little, MICRO, snaplen, 1)
            .record(1, 0, 0, &longest)
            .record(2, 0, 0, &longer)
            .record(3, 0, 0, &longer)
            .record(4, 0, 0, b"x")
            .bytes
    };
    let (seen, facts) = read(&file(1 << 20)).unwrap();
    assert_eq!(seen.iter().map(|frame| frame.frame).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(seen[0].bytes, longest);
    assert_eq!(facts.files[0].packets, 4);
    assert_eq!((facts.notes[0].kind, facts.notes.len()), (NoteKind::Skipped, 1));
    assert!(notes(&facts)[0].starts_with("x.pcap: frame 2 has 262145 bytes, more than the 262144"));

    let (seen, facts) = read(&file(65535)).unwrap();
    assert_eq!((seen.len(), facts.notes[0].kind), (1, NoteKind::Ended));
    assert_eq!(
        notes(&facts),
        ["x.pcap: damaged after frame 1: a record header says 262145 bytes where the file header allows 65535; \
          the rest is not read"]
    );
}

#[test]
fn no_length_is_believed() {
    for captured in [MAX_PACKET + 1, ABSURD, ABSURD + 1, u32::MAX - 15, u32::MAX] {
        let file = Bytes::pcap(Order::Big, MICRO, u32::MAX, 1).u32s(&[0, 0, captured, 60]).data(&[0; 500]);
        let (seen, facts) = read(&file.bytes).unwrap();
        assert_eq!((seen.len(), facts.notes[0].kind, facts.notes[0].after), (0, NoteKind::Ended, 0));
        let cut = notes(&facts)[0].ends_with(&format!("record header says {captured} bytes, 500 are there"));
        assert_eq!(cut, captured <= ABSURD);
    }
}

#[test]
fn a_file_that_is_cut_off_gives_what_is_before() {
    let file = two_packets(Order::Little, MICRO);
    let note = |len: usize| {
        let (seen, facts) = read(&file[..len]).unwrap();
        (seen.len(), notes(&facts).join("\n"))
    };
    assert_eq!(note(file.len() - 19), (1, String::new()));
    let cut = "x.pcap: cut off after frame 1: ";
    assert_eq!(note(file.len() - 1), (1, format!("{cut}record header says 3 bytes, 2 are there")));
    assert_eq!(note(file.len() - 3), (1, format!("{cut}record header says 3 bytes, 0 are there")));
    assert_eq!(note(file.len() - 4), (1, format!("{cut}a record header has 16 bytes, 15 are there")));
}

#[test]
fn a_header_that_makes_no_sense_is_an_error() {
    let error = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    let whole = Bytes::pcap(Order::Little, MICRO, 0, 1).bytes;
    assert!(error(&whole[..23]).starts_with("x.pcap: damaged file header: it has 23 of its 24 bytes; "));
    let version = Bytes::new(Order::Big).u32(MICRO).u16(7).u16(1).data(&[0; 16]).bytes;
    assert!(error(&version).starts_with("x.pcap: damaged file header: version 7.1 of pcap is none; "));
}
