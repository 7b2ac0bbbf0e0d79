//! Properties of whole files: pieces, cuts, damage, and no reading ahead.

#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Write};
use std::sync::atomic::Ordering;

use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::super::record::Order;
use super::super::samples::{Bytes, Pieces, Seen, notes, read, read_from, stream};
use super::*;

/// Files with a bit of everything, of both formats.
fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let packet = (any::<u32>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..50));
    let order = prop_oneof![Just(Order::Little), Just(Order::Big)];
    (order, any::<bool>(), prop::collection::vec(packet, 0..12)).prop_map(|(order, pcap, packets)| {
        let file = match pcap {
            true => Bytes::pcap(order, 0xa1b2_3c4d, 65535, 1),
            false => Bytes::new(order).section(order).interface(1, 40, &[(2, b"eth0"), (9, &[9])]),
        };
        let add = |file: Bytes, (a, b, bytes): (u32, u32, Vec<u8>)| match (pcap, a % 8) {
            (true, _) => file.record(a, b, 60, &bytes),
            (false, 0) => file.block(3, |it| it.u32(bytes.len() as u32).data(&bytes)),
            (false, 1) => file.block(b | 0x8000_0000, |it| it.data(&bytes)),
            (false, 2) => file.section(order).interface(113, 0, &[(2, &bytes)]),
            (false, _) => file.packet(0, u64::from(b), &bytes, &[(2, &[1, 0, 0, 1])]),
        };
        packets.into_iter().fold(file, add).bytes
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn in_pieces(bytes: &[u8], size: usize) -> (Vec<Seen>, Facts) {
    read_from(Pieces::new(bytes.chunks(size).map(<[u8]>::to_vec))).unwrap()
}

proptest! {
    #[test]
    fn pieces_of_any_size_give_the_same(file in any_file(), size in 1_usize..100) {
        let (seen, facts) = read(&file).unwrap();
        prop_assert_eq!(notes(&facts), [""; 0]);
        for (bytes, size) in [(&file, 1), (&file, size), (&gzip(&file), size)] {
            let (other, others) = in_pieces(bytes, size);
            prop_assert_eq!(&other, &seen);
            prop_assert_eq!(&others.interfaces, &facts.interfaces);
        }
    }

    #[test]
    fn damage_anywhere_does_no_harm(mut file in any_file(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let at = at.index(file.len());
        file[at] = byte;
        if let Ok((seen, facts)) = read(&file) {
            prop_assert!(seen.len() as u64 <= facts.files[0].packets);
        }
    }

    #[test]
    fn random_bytes_do_no_harm(magic in 0_usize..6, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let magics: [&[u8]; 6] = [
            b"\xd4\xc3\xb2\xa1\x02\0\x04\0", b"\xa1\xb2\xcd\x34\0\x02\0\x04",
            b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0", b"\x1f\x8b\x08\0\0\0\0\0\0\0",
            b"\x28\xb5\x2f\xfd\x04\x58", b"",
        ];
        if let Ok((seen, facts)) = read(&[magics[magic], &bytes].concat()) {
            prop_assert!(seen.len() as u64 <= facts.files[0].packets);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))] // each reads some hundred files

    #[test]
    fn a_cut_anywhere_gives_the_frames_before(file in any_file()) {
        let (seen, _) = read(&file).unwrap();
        for len in 0..file.len() {
            if let Ok((before, facts)) = read(&file[..len]) {
                prop_assert_eq!(&before[..], &seen[..before.len()]);
                prop_assert!(facts.notes.len() <= 1);
            }
        }
        let packed = gzip(&file);
        for len in 0..packed.len() {
            if let Ok((before, facts)) = read(&packed[..len]) {
                prop_assert_eq!(&before[..], &seen[..before.len()]);
                prop_assert_eq!(facts.notes.len(), 1);
            }
        }
    }
}

/// Each piece holds one record and is given when it is asked for; asking for more would wait for the network.
#[test]
fn a_packet_is_seen_before_the_next_one_is_asked_for() {
    let header = Bytes::pcap(Order::Little, 0xa1b2_c3d4, 65535, 1);
    let records = (1..=9).map(|n| Bytes::new(Order::Little).record(n, 0, 60, &[0; 60]).bytes);
    let plain: Vec<_> = [header.bytes].into_iter().chain(records).collect();
    for (packed, first) in [(false, 2), (true, 2)] {
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let pieces = plain.iter().map(|piece| match packed {
            false => piece.clone(),
            true => {
                gzip.write_all(piece).unwrap();
                gzip.flush().unwrap();
                std::mem::take(gzip.get_mut())
            }
        });
        let pieces = Pieces::new(pieces.collect::<Vec<_>>());
        let (reads, mut facts) = (pieces.reads.clone(), Facts::default());
        let mut stream = stream(pieces, &mut facts).unwrap();
        for frame in 0..9 {
            assert_eq!(reads.load(Ordering::Relaxed), first + frame, "packed: {packed}");
            assert!(stream.next(&mut facts));
        }
    }
}

#[test]
fn a_read_that_fails_keeps_what_is_before() {
    struct Fails(Cursor<Vec<u8>>);
    impl std::io::Read for Fails {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(to)? {
                0 => Err(std::io::Error::other("disk on fire")),
                read => Ok(read),
            }
        }
    }
    let file = Bytes::pcap(Order::Little, 0xa1b2_c3d4, 65535, 1).record(1, 0, 60, b"x").bytes;
    let (seen, facts) = read_from(Fails(Cursor::new(file))).unwrap();
    assert_eq!((seen.len(), notes(&facts)), (1, vec!["x.pcap: cannot be read on after frame 1: disk on fire"]));
}

#[test]
fn packed_data_that_is_cut_off_is_told() {
    let file = Bytes::pcap(Order::Little, 0xa1b2_c3d4, 65535, 1).record(1, 0, 60, b"x").bytes;
    let zstd = ruzstd::encoding::compress_to_vec(&file[..], ruzstd::encoding::CompressionLevel::Fastest);
    let two_frames = [&zstd[..], &zstd[..6]].concat();
    let gzip = gzip(&file);
    for cut in [&gzip[..gzip.len() - 1], &two_frames] {
        let (seen, facts) = read(cut).unwrap();
        let told = "x.pcap: cut off after frame 1: the packed data ends early";
        assert_eq!((seen.len(), notes(&facts)), (1, vec![told]));
    }
}
