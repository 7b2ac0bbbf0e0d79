//! One capture file: finds out its format, counts its frames, tells how it ended.

use std::io::ErrorKind;
use std::path::Path;

use crate::cite::{At, Time};
use crate::packet::Frame;

use super::buffer::Buffer;
use super::error::{FileError, START};
use super::facts::{Facts, Format, Interface, NoteKind};
use super::input::Input;
use super::pcap::Pcap;
use super::pcapng::{self, Pcapng};
use super::record::{End, MAX_PACKET, Record, Skip, Step};

/// A file that is being read.
pub(super) struct Stream {
    /// Which of the tap's files.
    file: u16,
    buffer: Buffer,
    walker: Walker,
    record: Record,
    /// Frame number of the record.
    frame: u32,
    told: Told,
}

enum Walker {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// Which reasons for passing over packets have been told.
#[derive(Default)]
struct Told {
    too_long: bool,
    no_interface: bool,
}

impl Stream {
    /// Opens the file at `path`, which is number `file` of the tap, to be read by `read` bytes at once.
    pub(super) fn open(path: &Path, read: usize, file: u16, facts: &mut Facts) -> Result<Stream, FileError> {
        Stream::new(path, Input::open(path)?, read, file, facts)
    }

    /// Reads the file header from `input`; `path` is for the words of an error.
    pub(super) fn new(
        path: &Path,
        input: Input,
        read: usize,
        file: u16,
        facts: &mut Facts,
    ) -> Result<Stream, FileError> {
        facts.files[usize::from(file)].compression = input.compression();
        let mut buffer = Buffer::new(input, read);
        let (walker, record) = walker(path, &mut buffer, file, facts).map_err(|error| match buffer.fault() {
            Some(why) => FileError::Header { path: path.to_owned(), why: why.to_string() },
            None => error,
        })?;
        Ok(Stream { file, buffer, walker, record, frame: 0, told: Told::default() })
    }

    /// Finds the next packet. False at the end of the file, for whatever reason, and `facts` has a note then unless
    /// the file is whole. Not to be called again after that.
    #[inline(always)]
    pub(super) fn next(&mut self, facts: &mut Facts) -> bool {
        loop {
            let step = match &mut self.walker {
                Walker::Pcap(pcap) => pcap.next(&mut self.buffer, &mut self.record),
                Walker::Pcapng(pcapng) => pcapng.next(&mut self.buffer, facts, &mut self.record),
            };
            let about = &mut facts.files[usize::from(self.file)];
            about.packets += u64::from(step.is_ok());
            self.frame = u32::try_from(about.packets).unwrap_or(u32::MAX);
            match step {
                Ok(Step::Packet) => return true,
                Ok(Step::Untimed) => {
                    about.untimed += 1;
                    return true;
                }
                Ok(Step::Skipped(skip)) => self.tell_skip(skip, facts),
                Err(end) => {
                    self.tell_end(&end, facts);
                    return false;
                }
            }
        }
    }

    /// The time of the packet that was found last.
    #[inline]
    pub(super) fn time(&self) -> Time {
        self.record.time
    }

    /// The packet that was found last.
    #[inline]
    pub(super) fn frame(&self) -> Frame<'_> {
        let record = &self.record;
        Frame {
            at: At { time: record.time, frame: self.frame, file: self.file },
            link_type: record.link_type,
            interface: record.interface,
            direction: record.direction,
            bytes: self.buffer.slice(record.offset, record.len),
            original_len: record.original_len,
        }
    }

    /// Bytes of the file read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.buffer.input().bytes_read()
    }

    #[cold]
    fn tell_skip(&mut self, skip: Skip, facts: &mut Facts) {
        let told = match skip {
            Skip::TooLong(_) => &mut self.told.too_long,
            Skip::NoInterface(_) if facts.only.is_some() => return,
            Skip::NoInterface(_) => &mut self.told.no_interface,
        };
        if std::mem::replace(told, true) {
            return;
        }
        let why = match skip {
            Skip::TooLong(len) => {
                format!("has {len} bytes, more than the {MAX_PACKET} that are read")
            }
            Skip::NoInterface(number) => {
                format!("names interface {number}, which the file does not describe")
            }
        };
        let about = &facts.files[usize::from(self.file)];
        let text = format!("{}: frame {} {why}; it and others like it are passed over", about.name, about.packets);
        facts.note(self.file, NoteKind::Skipped, text);
    }

    #[cold]
    fn tell_end(&self, end: &End, facts: &mut Facts) {
        let about = &facts.files[usize::from(self.file)];
        let after = format!("after frame {}", about.packets);
        let what = match (self.buffer.fault(), end) {
            (Some(fault), _) if fault.kind() == ErrorKind::UnexpectedEof => {
                format!("cut off {after}: the packed data ends early")
            }
            (Some(fault), _) => format!("cannot be read on {after}: {fault}"),
            (None, End::Finished) => return,
            (None, End::Cut { who, says, has }) => {
                format!("cut off {after}: {who} {says} bytes, {has} are there")
            }
            (None, End::Damaged(why)) => format!("damaged {after}: {why}; the rest is not read"),
        };
        let text = format!("{}: {what}", about.name);
        facts.note(self.file, NoteKind::Ended, text);
    }
}

/// Finds out the format and keeps what the file header declares. What it says of every packet stands in the record.
fn walker(path: &Path, buffer: &mut Buffer, file: u16, facts: &mut Facts) -> Result<(Walker, Record), FileError> {
    let header = |why| FileError::Header { path: path.to_owned(), why };
    let magic = buffer.peek::<4>().copied().unwrap_or_default();
    if u32::from_be_bytes(magic) == pcapng::SECTION {
        let pcapng = Pcapng::open(buffer, file).map_err(header)?;
        facts.files[usize::from(file)].format = Some(Format::Pcapng);
        return Ok((Walker::Pcapng(pcapng), Record::default()));
    }
    let Some((order, format)) = Pcap::recognise(magic) else {
        return Err(FileError::from_start(path, buffer.prefix(START)));
    };
    let pcap = Pcap::open(buffer, order, format).map_err(header)?;
    let about = &mut facts.files[usize::from(file)];
    about.format = Some(format);
    about.declare(pcap.link_type, pcap.snaplen);
    let interface = Interface { link_type: pcap.link_type, snaplen: pcap.snaplen, ..Interface::default() };
    let interface = facts.number(interface).unwrap_or_default();
    let record = Record { link_type: pcap.link_type, interface, ..Record::default() };
    Ok((Walker::Pcap(pcap), record))
}

#[cfg(test)]
mod tests;
