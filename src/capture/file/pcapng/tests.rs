//! pcapng files built byte by byte, and what must come of them.

#![allow(clippy::unwrap_used)]

use super::super::facts::NoteKind;
use super::super::samples::{Bytes, notes, read};
use super::*;

const BOTH: [Order; 2] = [Order::Little, Order::Big];

/// A section with an unnamed Ethernet interface.
fn section(order: Order) -> Bytes {
    Bytes::new(order).section(order).interface(1, 0, &[])
}

#[test]
fn packets_of_both_byte_orders_with_time_lengths_and_direction() {
    for order in BOTH {
        let flags = |direction: u32| Bytes::new(order).u32(0xff00 | direction).bytes;
        let file = section(order)
            .packet(0, 0x0006_128e_5f58_b19f, b"five5", &[(1, b"a comment"), (2, &flags(1))])
            .packet(0, 1, b"", &[(2, &flags(2))])
            .packet(0, 2, b"four", &[(2, &flags(0)), (2, &flags(1))])
            .block(6, |it| it.u32s(&[0, 0, 3, 2, 60]).data(b"ab"));
        let (seen, facts) = read(&file.bytes).unwrap();
        assert_eq!(seen[0].time, 0x0006_128e_5f58_b19f * 1000);
        assert_eq!((&seen[0].bytes[..], seen[0].original_len, seen[0].link_type), (&b"five5"[..], 5, 1));
        assert_eq!((&seen[3].bytes[..], seen[3].original_len), (&b"ab"[..], 60));
        let directions: Vec<_> = seen.iter().map(|frame| frame.direction).collect();
        assert_eq!(directions, [Some(Direction::Incoming), Some(Direction::Outgoing), None, None]);
        assert_eq!(facts.files[0].packets, 4);
        assert_eq!(notes(&facts), [""; 0]);
    }
}

#[test]
fn a_packet_for_another_host_is_overheard() {
    for order in BOTH {
        let flags = |flags: u32| Bytes::new(order).u32(flags).bytes;
        let file = section(order)
            .packet(0, 0, b"unicast", &[(2, &flags(1 << 2 | 1))])
            .packet(0, 1, b"promiscuous", &[(2, &flags(4 << 2 | 1))])
            .packet(0, 2, b"sent", &[(2, &flags(4 << 2 | 2))]);
        let (seen, _) = read(&file.bytes).unwrap();
        let directions: Vec<_> = seen.iter().map(|frame| frame.direction).collect();
        let expected = [Direction::Incoming, Direction::Overheard, Direction::Outgoing];
        assert_eq!(directions, expected.map(Some));
    }
}

#[test]
fn interfaces_have_clocks_names_and_filters() {
    for order in BOTH {
        let offset = match order {
            Order::Little => 1_700_000_000_i64.to_le_bytes(),
            Order::Big => 1_700_000_000_i64.to_be_bytes(),
        };
        let file = Bytes::new(order)
            .section(order)
            .interface(1, 0, &[(2, b"eth0"), (9, &[9]), (11, b"\0tcp port 21"), (14, &offset)])
            .interface(113, 96, &[(2, b"any\0"), (9, &[0x80 | 1]), (11, b"\x01\0\0\0\0\0\0\0\0")])
            .packet(1, 5, b"x", &[])
            .packet(0, 5, b"y", &[]);
        let (seen, facts) = read(&file.bytes).unwrap();
        let places: Vec<_> = seen.iter().map(|it| (it.interface, it.link_type, it.time)).collect();
        assert_eq!(places, [(1, 113, 2_500_000_000), (0, 1, 1_700_000_000_000_000_005)]);
        let [eth0, any] = &facts.interfaces[..] else { panic!("{facts:?}") };
        assert_eq!((eth0.name.as_deref(), eth0.filter.as_deref()), (Some("eth0"), Some("tcp port 21")));
        assert_eq!((any.name.as_deref(), any.filter.as_deref(), any.number), (Some("any"), None, 1));
        assert_eq!((&facts.files[0].link_types[..], facts.files[0].snaplen), (&[1, 113][..], Some(96)));
    }
}

#[test]
fn a_section_may_change_the_byte_order_and_begins_with_no_interfaces() {
    let named = |file: Bytes, order, name: &[u8]| file.section(order).interface(1, 0, &[(2, name)]);
    let file = named(Bytes::new(Order::Big), Order::Big, b"eth0").packet(0, 1, b"a", &[]);
    let file = named(file, Order::Little, b"eth1").packet(0, 2, b"b", &[]);
    let file = named(file, Order::Big, b"eth0").packet(0, 3, b"c", &[]).packet(1, 4, b"d", &[]);
    let (seen, facts) = read(&file.bytes).unwrap();
    let interfaces: Vec<_> = seen.iter().map(|frame| (frame.interface, frame.time)).collect();
    assert_eq!(interfaces, [(0, 1000), (1, 2000), (0, 3000)]);
    assert_eq!(facts.files[0].packets, 4);
    assert_eq!(
        notes(&facts),
        ["x.pcap: frame 4 names interface 1, which the file does not describe; it and others like it are \
          passed over"]
    );
}

#[test]
fn simple_packets_take_the_time_before_and_the_length_that_fits() {
    for order in BOTH {
        let file = Bytes::new(order)
            .section(order)
            .interface(1, 6, &[])
            .block(3, |it| it.u32(3).data(b"abc"))
            .packet(0, 7, b"timed", &[])
            .block(3, |it| it.u32(60).data(b"abcdef"))
            .block(3, |it| it.u32(60).data(b"abcd"));
        let (seen, facts) = read(&file.bytes).unwrap();
        let simple: Vec<_> = seen.iter().map(|it| (it.time, &it.bytes[..], it.original_len)).collect();
        let want: [(i64, &[u8], u32); 4] =
            [(0, b"abc", 3), (7000, b"timed", 5), (7000, b"abcdef", 60), (7000, b"abcd", 60)];
        assert_eq!(simple, want);
        assert_eq!(facts.files[0].untimed, 3);
    }
}

#[test]
fn obsolete_packet_blocks_have_a_short_interface_number() {
    for order in BOTH {
        let flags = Bytes::new(order).u32(2).bytes;
        let file = section(order)
            .interface(101, 0, &[])
            .block(2, |it| it.u16(1).u16(0xffff).u32s(&[0, 9, 3, 40]).data(b"abc\0").option(2, &flags));
        let (seen, _) = read(&file.bytes).unwrap();
        assert_eq!((seen[0].interface, seen[0].link_type, seen[0].time), (1, 101, 9000));
        assert_eq!((&seen[0].bytes[..], seen[0].original_len), (&b"abc"[..], 40));
        assert_eq!(seen[0].direction, Some(Direction::Outgoing));
    }
}

/// Statistics of interface `number`: start, dropped by the interface, dropped by the system.
fn statistics(file: Bytes, number: u32, start: u32, counts: &[(u16, u64)]) -> Bytes {
    let order = file.order;
    let start = Bytes::new(order).u32s(&[0, start]).bytes;
    file.block(5, |it| {
        counts.iter().fold(it.u32s(&[number, 0, 0]).option(2, &start), |it, (code, count)| match order {
            Order::Little => it.option(*code, &count.to_le_bytes()),
            Order::Big => it.option(*code, &count.to_be_bytes()),
        })
    })
}

#[test]
fn lost_packets_are_summed_over_interfaces_and_captures() {
    for order in BOTH {
        let lost = |file: Bytes| read(&file.bytes).unwrap().1.lost();
        let file = section(order).interface(1, 9, &[]);
        assert_eq!(lost(statistics(file.clone(), 0, 1, &[(4, 77)])), None);
        assert_eq!(lost(statistics(file.clone(), 0, 1, &[(5, u64::MAX)])), None);
        assert_eq!(lost(statistics(file.clone(), 9, 1, &[(5, 77)])), None);
        assert_eq!(lost(statistics(file.clone(), 0, 1, &[(5, 0)])), Some(0));
        let file = statistics(file, 0, 1, &[(5, 3), (7, 4)]);
        assert_eq!(lost(file.clone()), Some(7));
        let file = statistics(file, 1, 1, &[(7, 10)]);
        assert_eq!(lost(file.clone()), Some(17));
        let file = statistics(file, 0, 1, &[(5, 8)]);
        assert_eq!(lost(file.clone()), Some(18), "the same count, later");
        assert_eq!(lost(statistics(file, 0, 2, &[(5, 5)])), Some(23), "another capture");
    }
}

#[test]
fn other_blocks_are_passed_over_however_long() {
    for order in BOTH {
        let file = section(order).block(0x8000_0bad, |it| it.data(&vec![6; 3 * HEADROOM])).block(4, |it| it).packet(
            0,
            1,
            b"x",
            &[],
        );
        let (seen, facts) = read(&file.bytes).unwrap();
        assert_eq!((seen.len(), notes(&facts).len()), (1, 0));
    }
}

#[test]
fn lengths_without_padding_are_understood() {
    let order = Order::Little;
    let packet = |end| Bytes::new(order).u32s(&[6, 33, 0, 0, 1, 1, 1]).data(b"x\0\0\0").u32(end).bytes;
    for end in [33, 36] {
        let file = section(order).data(&packet(end)).packet(0, 2, b"y", &[]);
        assert_eq!(read(&file.bytes).unwrap().0.len(), 2);
    }
    let (seen, facts) = read(&section(order).data(&packet(34)).bytes).unwrap();
    assert_eq!(seen.len(), 0);
    assert!(notes(&facts)[0].contains("damaged after frame 0: a block says 33 bytes at its start and 34 at its end"));
}

#[test]
fn packets_too_long_to_hold_are_passed_over() {
    let file = section(Order::Big)
        .packet(0, 1, &vec![1; MAX_PACKET as usize], &[])
        .packet(0, 2, &vec![2; MAX_PACKET as usize + 1], &[])
        .packet(0, 3, &vec![3; HEADROOM], &[])
        .packet(0, 4, b"x", &[]);
    let (seen, facts) = read(&file.bytes).unwrap();
    assert_eq!(seen.iter().map(|frame| frame.frame).collect::<Vec<_>>(), [1, 4]);
    assert_eq!((facts.notes[0].kind, facts.notes.len()), (NoteKind::Skipped, 1));
}

#[test]
fn damage_ends_the_file_and_keeps_what_is_before() {
    let sound = section(Order::Little).packet(0, 1, b"x", &[]);
    let note = |damage: Bytes| {
        let (seen, facts) = read(&damage.bytes).unwrap();
        assert_eq!((seen.len(), facts.notes.len(), facts.notes[0].kind), (1, 1, NoteKind::Ended));
        facts.notes[0].text.strip_prefix("x.pcap: ").unwrap().to_owned()
    };
    let damaged = |why: &str| format!("damaged after frame 1: {why}; the rest is not read");
    for total in [0, 11, 28, u32::MAX - 3] {
        let file = sound.clone().u32s(&[6, total]).data(&[0; 40]);
        assert_eq!(note(file), damaged(&format!("a block says it is {total} bytes long")));
    }
    let file = sound.clone().block(6, |it| it.u32s(&[0, 0, 0, 8, 8]).data(b"abcd"));
    assert_eq!(note(file), damaged("a packet of 8 bytes in a block with room for 4"));
    let file = sound.clone().block(6, |it| it.u32s(&[0, 0, 0, u32::MAX, 8]));
    assert_eq!(note(file), damaged("a packet of 4294967295 bytes in a block with room for 0"));
    let file = sound.clone().u32s(&[SECTION, 28, 0xbad, 1, 0, 0, 28]);
    assert_eq!(note(file), damaged("a section header's byte-order magic is wrong"));
    let file = sound.clone().u32s(&[0x8000_0bad, 400, 0, 0]);
    assert_eq!(note(file), "cut off after frame 1: block says 400 bytes, 16 are there");
    let file = sound.u32s(&[6, 0]);
    assert_eq!(note(file), "cut off after frame 1: a block has at least 12 bytes, 8 are there");
}

#[test]
fn a_hostile_number_of_interfaces_is_bounded() {
    let many = MAX_INTERFACES as u32 + 10;
    let file = (0..many)
        .fold(Bytes::new(Order::Little).section(Order::Little), |file, snaplen| file.interface(1, snaplen, &[]));
    let file = file.packet(many - 1, 1, b"x", &[]).packet(1023, 1, b"y", &[]);
    let (seen, facts) = read(&file.bytes).unwrap();
    assert_eq!((seen.len(), seen[0].interface, facts.interfaces.len()), (1, 1023, MAX_INTERFACES));
    assert!(notes(&facts)[0].contains("frame 1 names interface 1033, "));
}

#[test]
fn a_first_section_that_makes_no_sense_is_an_error() {
    let error = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    let sound = Bytes::new(Order::Big).section(Order::Big).bytes;
    assert!(error(&sound[..23]).contains("damaged file header: a section header has 23 of its 24 bytes; "));
    let file = Bytes::new(Order::Big).u32s(&[SECTION, 28, BYTE_ORDER]).u16(2).data(&[0; 14]);
    assert!(error(&file.bytes).contains("damaged file header: version 2 of pcapng is none; "));
}
