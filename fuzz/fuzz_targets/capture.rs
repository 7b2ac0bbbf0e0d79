//! Bytes as a capture file: reading ends, and gives no frame longer than what was captured.
#![no_main]

use std::io::Write;
use std::path::PathBuf;

use ftpwhy::capture::file::TapReader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = PathBuf::from(format!("/dev/shm/ftpwhy-fuzz-{}.pcap", std::process::id()));
    let mut file = std::fs::File::create(&path).expect("shared memory is writable");
    file.write_all(bytes).expect("shared memory is writable");
    drop(file);
    if let Ok(mut reader) = TapReader::open(&[path]) {
        let mut frames = 0;
        while let Some(frame) = reader.next() {
            assert!(frame.bytes.len() <= 1 << 20);
            frames += 1;
        }
        assert!(frames <= bytes.len().max(1) * 1100, "more frames than compressed bytes can hold");
    }
});
