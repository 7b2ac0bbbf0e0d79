//! Ways to damage a capture file: what chance does, record by record and byte by byte.
#![allow(dead_code)] // each test takes a part of it

/// The same numbers for the same seed (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    /// A number below `bound`; 0 if that is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// A capture file cut into its records; for pcapng, into its blocks.
#[derive(Clone)]
pub(crate) struct Records {
    /// The file header of a pcap.
    pub(crate) head: Vec<u8>,
    /// Whole records, with their headers.
    pub(crate) records: Vec<Vec<u8>>,
}

/// Bytes of a pcap's file header, and of a record's.
const HEAD: usize = 24;
const RECORD: usize = 16;

impl Records {
    /// Cuts a file, as far as its lengths make sense.
    pub(crate) fn of(file: &[u8]) -> Records {
        let is_pcapng = file.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]);
        let (head, mut rest) = file.split_at(if is_pcapng { 0 } else { HEAD.min(file.len()) });
        let little = if is_pcapng { file.get(8) == Some(&0x4d) } else { file[0] != 0xa1 };
        let mut records = Vec::new();
        while !rest.is_empty() {
            let length = match is_pcapng {
                true => number(rest, 4, little),
                false => number(rest, 8, little) + RECORD,
            };
            let (record, behind) = rest.split_at(length.clamp(12, rest.len().max(12)).min(rest.len()));
            records.push(record.to_vec());
            rest = behind;
        }
        Records { head: head.to_vec(), records }
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        [&self.head[..], &self.records.concat()].concat()
    }

    /// Microseconds of a record of a little-endian pcap.
    pub(crate) fn micros(record: &[u8]) -> i64 {
        number(record, 0, true) as i64 * 1_000_000 + number(record, 4, true) as i64
    }

    /// Gives a record of a little-endian pcap another time.
    pub(crate) fn set_micros(record: &mut [u8], micros: i64) {
        record[..4].copy_from_slice(&((micros.div_euclid(1_000_000)) as u32).to_le_bytes());
        record[4..8].copy_from_slice(&((micros.rem_euclid(1_000_000)) as u32).to_le_bytes());
    }

    /// Shortens every record of a little-endian pcap to a snap length.
    pub(crate) fn snap(&mut self, length: usize) {
        for record in &mut self.records {
            let captured = length.min(record.len() - RECORD);
            record.truncate(RECORD + captured);
            record[8..12].copy_from_slice(&(captured as u32).to_le_bytes());
        }
    }
}

fn number(bytes: &[u8], at: usize, little: bool) -> usize {
    let bytes: [u8; 4] = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
    (if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }) as usize
}

/// Damages a file in one to four ways.
pub(crate) fn damage(file: &[u8], random: &mut Random) -> Vec<u8> {
    let mut file = file.to_vec();
    for _ in 0..=random.below(4) {
        if file.len() <= HEAD {
            break;
        }
        file = match random.below(8) {
            0 => cut(file, random),
            1..=3 => overwrite(file, random),
            _ => shuffle(&file, random),
        };
    }
    file
}

/// Cuts the file somewhere, or a piece out of it.
fn cut(mut file: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let at = random.below(file.len());
    if random.once_in(2) {
        file.truncate(at);
    } else {
        let end = (at + random.below(200)).min(file.len());
        file.drain(at..end);
    }
    file
}

/// Flips bits, or writes bytes that often mean something, anywhere.
fn overwrite(mut file: Vec<u8>, random: &mut Random) -> Vec<u8> {
    const TELLING: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b'2', 0x16];
    for _ in 0..=random.below(40) {
        let at = random.below(file.len());
        match random.below(3) {
            0 => file[at] ^= 1 << random.below(8),
            1 => file[at] = TELLING[random.below(TELLING.len())],
            _ => file[at] = random.next() as u8,
        }
    }
    file
}

/// Doubles, swaps, removes and moves records, and changes their headers.
fn shuffle(file: &[u8], random: &mut Random) -> Vec<u8> {
    let mut records = Records::of(file);
    for _ in 0..=random.below(20) {
        let count = records.records.len();
        if count == 0 {
            break;
        }
        let (one, other) = (random.below(count), random.below(count));
        match random.below(5) {
            0 => records.records.insert(other, records.records[one].clone()),
            1 => records.records.swap(one, other),
            2 => drop(records.records.remove(one)),
            3 => records.records.swap(one, (one + 1) % count),
            _ => {
                let record = &mut records.records[one];
                let at = random.below(RECORD.min(record.len()));
                record[at] = random.next() as u8;
            }
        }
    }
    records.file()
}
