//! Frames for the tests of this floor, a layer a function. Every TCP segment goes from port 21 to 49152 with sequence
//! number 1000; every datagram from 10.0.0.1 or fd00::1 to 10.0.0.2 or fd00::2.

use proptest::prelude::*;

use super::{Decoder, Direction, Frame, Packet, Segment, Undecoded};
use crate::cite::At;

/// `hex` without blanks, as bytes.
pub(super) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|digit| digit.to_digit(16)).map(|n| n as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A segment with PSH and ACK. `options` must be a multiple of four bytes.
pub(super) fn tcp(options: &[u8], text: &[u8]) -> Vec<u8> {
    let words = (5 + options.len() / 4) as u8;
    let header = bytes("0015 c000 000003e8 000007d0 0018 0200 0000 0000");
    let mut segment = [&header, options, text].concat();
    segment[12] = words << 4;
    segment
}

/// A datagram with identification 7 and time to live 64.
pub(super) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = bytes("4500 0000 0007 0000 4000 0000 0a000001 0a000002");
    header[2..4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    header[9] = protocol;
    [&header, payload].concat()
}

/// The fragment of [`ipv4`] of TCP at `offset`.
pub(super) fn ipv4_fragment(offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut datagram = ipv4(6, payload);
    datagram[6..8].copy_from_slice(&((offset / 8) | (u16::from(more) << 13)).to_be_bytes());
    datagram
}

/// A datagram with hop limit 63.
pub(super) fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = bytes("60000000 0000 00 3f");
    header[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    header[6] = next_header;
    let addresses = bytes("fd000000000000000000000000000001 fd000000000000000000000000000002");
    [&header, &addresses, payload].concat()
}

/// An Ethernet frame.
pub(super) fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &ethertype.to_be_bytes(), payload].concat()
}

/// A frame of which everything was captured.
pub(super) fn frame(link_type: u32, bytes: &[u8]) -> Frame<'_> {
    let original_len = bytes.len() as u32;
    Frame { at: At::default(), link_type, interface: 9, direction: None, bytes, original_len }
}

/// The beginning of a frame.
pub(super) fn cut(bytes: &[u8], captured: usize) -> Frame<'_> {
    let whole = frame(1, bytes);
    Frame { bytes: &bytes[..captured.min(bytes.len())], ..whole }
}

/// Frames with this payload, of either version of IP, and bytes that are not what they should be; and how many to capture.
pub(super) fn damaged(protocol: u8, payload: &[u8]) -> impl Strategy<Value = (Vec<u8>, usize)> + use<> {
    let frames = vec![ethernet(0x0800, &ipv4(protocol, payload)), ethernet(0x86dd, &ipv6(protocol, payload))];
    let changes = prop::collection::vec((12_usize..70, any::<u8>()), 0..4);
    (prop::sample::select(frames), changes, 30_usize..100).prop_map(|(mut bytes, changes, captured)| {
        for (at, value) in changes {
            let at = at.min(bytes.len() - 1);
            bytes[at] = value;
        }
        (bytes, captured)
    })
}

/// What a fresh decoder makes of `frame`, which must be a segment.
#[track_caller]
pub(super) fn segment<'a>(decoder: &'a mut Decoder, frame: &Frame<'a>) -> Segment<'a> {
    match decoder.decode(frame) {
        Packet::Segment(segment) => segment,
        packet => panic!("no segment but {packet:?}"),
    }
}

/// Interface and direction of the segment with sequence number 1000 that `bytes` carry.
#[track_caller]
pub(super) fn tap(link_type: u32, bytes: &[u8]) -> (u32, Option<Direction>) {
    let mut decoder = Decoder::new();
    let segment = segment(&mut decoder, &frame(link_type, bytes));
    assert_eq!((segment.seq, segment.text), (1000, &b"QUIT"[..]));
    (segment.interface, segment.direction)
}

/// Why a frame of which everything was captured cannot be decoded.
#[track_caller]
pub(super) fn undecoded(link_type: u32, bytes: &[u8]) -> Undecoded {
    match Decoder::new().decode(&frame(link_type, bytes)) {
        Packet::Undecoded(undecoded) => undecoded,
        packet => panic!("decoded to {packet:?}"),
    }
}
