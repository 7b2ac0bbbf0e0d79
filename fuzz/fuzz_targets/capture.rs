//! Bytes as a capture file: reading ends, gives no frame longer than any capture has, and all floors take what comes.
#![no_main]

mod common;

use std::fs;
use std::path::PathBuf;

use common::check;
use ftpwhy::capture::file::{MAX_PACKET, TapReader};
use ftpwhy::replay::{Capture, Replay, Sink, replay};
use ftpwhy::session::join::Session;
use ftpwhy::verdict::{Judgement, TapFacts};
use libfuzzer_sys::fuzz_target;

/// Deflate packs at most 1032 bytes into one, zstd repeats a byte for 128 KiB with four.
const MAX_EXPANSION: usize = 32 << 10;

/// The shortest record of any format is 16 bytes.
const MIN_RECORD: usize = 16;

struct Checker;

impl Sink for Checker {
    type Error = ();

    fn session(&mut self, session: &Session, judgement: &Judgement, taps: &[TapFacts]) -> Result<(), ()> {
        check(session, judgement, taps);
        Ok(())
    }

    fn progress(&mut self, _: u64, _: Option<u64>) {}
}

fuzz_target!(|bytes: &[u8]| {
    let path = PathBuf::from(format!("/dev/shm/ftpwhy-fuzz-{}.pcap", std::process::id()));
    fs::write(&path, bytes).expect("shared memory is writable");
    if let Ok(mut reader) = TapReader::open(std::slice::from_ref(&path)) {
        let mut frames = 0;
        while let Some(frame) = reader.next() {
            assert!(frame.bytes.len() <= MAX_PACKET as usize);
            frames += 1;
        }
        assert!(frames <= bytes.len() * MAX_EXPANSION / MIN_RECORD, "more frames than the file can hold");
    }
    let captures = vec![Capture { paths: vec![path], ..Capture::default() }];
    let what = Replay { captures, control_ports: vec![21], passive_range: None, filter: None, unfiltered: false };
    let _ = replay(&what, &mut Checker);
});
