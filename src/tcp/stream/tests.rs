//! Examples, and properties against a byte array.

use super::*;
use crate::cite::Time;
use proptest::prelude::*;

/// Collects pieces as text: `+` begins a segment, `-` the rest of one, `~` is a gap.
#[derive(Default)]
struct Log(String);

impl Log {
    fn add(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Gap => self.0.push('~'),
            Piece::Text { bytes, starts_segment, .. } => {
                self.0.push(if starts_segment { '+' } else { '-' });
                self.0.push_str(std::str::from_utf8(bytes).expect("tests send ASCII"));
            }
        }
    }
}

fn started(seq: u32) -> (Stream, Log) {
    let mut stream = Stream::new();
    stream.start(seq);
    (stream, Log::default())
}

fn push(stream: &mut Stream, log: &mut Log, seq: u32, text: &str) {
    stream.push(At::default(), seq, text.as_bytes(), 0, |piece| log.add(piece));
}

#[test]
fn is_small() {
    assert!(size_of::<Stream>() <= 48);
}

#[test]
fn passes_segments_in_order_across_the_wrap() {
    let (mut stream, mut log) = started(u32::MAX - 1);
    push(&mut stream, &mut log, u32::MAX - 1, "USER");
    push(&mut stream, &mut log, 2, " me");
    assert_eq!(log.0, "+USER+ me");
    assert_eq!(stream.next_seq(), Some(5));
}

#[test]
fn starts_with_the_first_segment_seen() {
    let (mut stream, mut log) = (Stream::new(), Log::default());
    assert_eq!(stream.next_seq(), None);
    push(&mut stream, &mut log, 700, "");
    assert_eq!(stream.next_seq(), None, "an empty segment says nothing about where text begins");
    push(&mut stream, &mut log, 1000, "abc");
    push(&mut stream, &mut log, 990, "older text");
    assert_eq!(log.0, "+abc");
}

#[test]
fn retransmissions_and_keep_alives_give_nothing() {
    let (mut stream, mut log) = started(10);
    push(&mut stream, &mut log, 10, "abcd");
    push(&mut stream, &mut log, 10, "abcd");
    push(&mut stream, &mut log, 13, "\0");
    assert_eq!(log.0, "+abcd");
    push(&mut stream, &mut log, 12, "XXef");
    assert_eq!(log.0, "+abcd-ef");
}

#[test]
fn waits_for_an_earlier_segment() {
    let (mut stream, mut log) = started(0);
    push(&mut stream, &mut log, 4, "ef");
    push(&mut stream, &mut log, 2, "cd");
    assert_eq!(log.0, "");
    push(&mut stream, &mut log, 0, "ab");
    assert_eq!(log.0, "+ab+cd+ef");
}

#[test]
fn cites_the_frame_that_carried_the_bytes() {
    let (mut stream, mut frames) = (Stream::new(), Vec::new());
    let mut note = |piece: Piece<'_>| {
        if let Piece::Text { at, seq, .. } = piece {
            frames.push((at.frame, seq));
        }
    };
    let at = |frame| At { time: Time(0), frame, file: 0 };
    stream.start(0);
    stream.push(at(1), 2, b"cd", 0, &mut note);
    stream.push(at(2), 0, b"ab", 0, &mut note);
    assert_eq!(frames, [(2, 0), (1, 2)]);
}

#[test]
fn an_acknowledgment_closes_a_hole_only_behind_seen_text() {
    let (mut stream, mut log) = started(0);
    push(&mut stream, &mut log, 0, "ab");
    stream.acknowledged(1_000_000, |piece| log.add(piece));
    assert_eq!(log.0, "+ab", "nothing seen beyond: nothing to go on with");
    push(&mut stream, &mut log, 4, "ef");
    push(&mut stream, &mut log, 8, "ij");
    stream.acknowledged(3, |piece| log.add(piece));
    assert_eq!(log.0, "+ab", "the hole is not acknowledged to its end");
    stream.acknowledged(4, |piece| log.add(piece));
    assert_eq!(log.0, "+ab~+ef");
    push(&mut stream, &mut log, 2, "cd");
    stream.finish(|piece| log.add(piece));
    assert_eq!(log.0, "+ab~+ef~+ij");
}

#[test]
fn a_cut_segment_ends_in_a_gap() {
    let (mut stream, mut log) = started(0);
    stream.push(At::default(), 0, b"ab", 4, |piece| log.add(piece));
    push(&mut stream, &mut log, 6, "gh");
    assert_eq!(log.0, "+ab~+gh");
}

#[test]
fn bounds_turn_a_hole_into_a_gap() {
    let (mut stream, mut log) = started(0);
    for i in 1..=MAX_HELD_SEGMENTS as u32 {
        push(&mut stream, &mut log, 2 * i, "x");
    }
    assert_eq!(log.0, "");
    push(&mut stream, &mut log, 2 * MAX_HELD_SEGMENTS as u32 + 2, "y");
    assert_eq!(log.0, "~+x");

    let (mut stream, mut log) = started(0);
    push(&mut stream, &mut log, 1, &"x".repeat(MAX_HELD_BYTES + 1));
    assert!(log.0.starts_with("~+x"));
}

#[test]
fn what_no_window_allows_is_not_of_this_stream() {
    let (mut stream, mut log) = started(5);
    push(&mut stream, &mut log, 5 + (1 << 30), "forged");
    stream.push(At::default(), 5, b"", u32::MAX, |piece| log.add(piece));
    push(&mut stream, &mut log, 5, "ok");
    stream.finish(|piece| log.add(piece));
    assert_eq!(log.0, "+ok");
}

/// One sent segment: where it begins in the text, its length, and how much of that was cut off.
type Sent = (usize, usize, usize);

/// Every byte's first copy; `Some(None)` for a byte that was cut off, `None` for one that never came.
fn model(sent: &[Sent], length: usize) -> Vec<Option<Option<u8>>> {
    let mut bytes = vec![None; length];
    for (copy, &(start, len, cut)) in sent.iter().enumerate() {
        for (i, byte) in bytes.iter_mut().enumerate().skip(start).take(len) {
            byte.get_or_insert((i + cut < start + len).then_some(copy as u8));
        }
    }
    let seen = bytes.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    bytes.truncate(seen);
    bytes
}

/// What a stream makes of the segments; `None` for a gap.
fn reassembled(sent: &[Sent], seq: u32) -> Vec<Option<u8>> {
    let mut pieces = Vec::new();
    let mut note = |piece: Piece<'_>| match piece {
        Piece::Gap => pieces.push(None),
        Piece::Text { bytes, .. } => pieces.extend(bytes.iter().copied().map(Some)),
    };
    let mut stream = Stream::new();
    stream.start(seq);
    for (copy, &(start, len, cut)) in sent.iter().enumerate() {
        let text = vec![copy as u8; len - cut];
        stream.push(At::default(), seq.wrapping_add(start as u32), &text, cut as u32, &mut note);
    }
    stream.finish(&mut note);
    pieces
}

/// Segments of a text of 120 bytes, few enough to stay within the bounds.
fn any_segments() -> impl Strategy<Value = Vec<Sent>> {
    let segment = (0usize..100, 1usize..20, 0usize..20);
    prop::collection::vec(segment, 1..12)
        .prop_map(|sent| sent.into_iter().map(|(start, len, cut)| (start, len, (len / 2).min(cut / 4))).collect())
}

proptest! {
    /// Any order, overlap, duplication, hole and cut: the bytes that came, first copies, a gap for each run
    /// that did not.
    #[test]
    fn agrees_with_a_byte_array(sent in any_segments(), seq in (u32::MAX - 130)..) {
        let mut expected: Vec<Option<u8>> = model(&sent, 120).into_iter().map(Option::flatten).collect();
        expected.dedup_by(|a, b| a.is_none() && b.is_none());
        let mut pieces = reassembled(&sent, seq);
        pieces.dedup_by(|a, b| a.is_none() && b.is_none());
        prop_assert_eq!(pieces, expected);
    }

    /// A text cut into segments that come in any order gives the text; without one of them, exactly one gap.
    #[test]
    fn any_order_gives_the_text(
        lengths in prop::collection::vec(1usize..30, 2..20),
        seq: u32,
        missing: prop::sample::Index,
        order in any::<u64>(),
    ) {
        let mut sent: Vec<Sent> = lengths
            .iter()
            .scan(0, |start, &len| { *start += len; Some((*start - len, len, 0)) })
            .collect();
        sent.sort_by_key(|&(start, ..)| (start as u64 + 1).wrapping_mul(order | 1) >> 7);
        prop_assert_eq!(reassembled(&sent, seq).len(), lengths.iter().sum::<usize>());
        prop_assert!(reassembled(&sent, seq).iter().all(Option::is_some));

        let last = *sent.iter().max().expect("there are two segments at least");
        let missing = missing.index(sent.len());
        prop_assume!(sent[missing] != last);
        let (start, ..) = sent.remove(missing);
        let pieces = reassembled(&sent, seq);
        prop_assert_eq!(pieces.iter().filter(|piece| piece.is_none()).count(), 1);
        prop_assert_eq!(pieces[start], None);
    }
}
