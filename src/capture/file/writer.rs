//! Writes pcapng files (draft-ietf-opsawg-pcapng, section 4): what a live capture keeps, and annotated captures.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::time::Duration;

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapError};

use super::facts::Interface;
use crate::cite::Time;
use crate::packet::{Direction, Frame};

/// A file under way. Times are kept in nanoseconds.
pub struct PcapngWriter {
    file: PcapNgWriter<BufWriter<File>>,
    interfaces: u32,
}

/// Longest option in bytes: its length is a number of 16 bits.
const MAX_OPTION: usize = u16::MAX as usize;

/// `epb_flags` of a packet that was received though it was for another host: inbound, promiscuous.
pub(super) const OVERHEARD: u32 = 4 << 2 | 1;

impl PcapngWriter {
    /// Begins a file with a section that says this of itself.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn begin(file: File, comment: Option<&str>) -> io::Result<PcapngWriter> {
        let application = concat!("ftpwhy ", env!("CARGO_PKG_VERSION"));
        let comment = comment.map(|comment| SectionHeaderOption::Comment(Cow::Owned(fitting(comment).to_owned())));
        let application = SectionHeaderOption::UserApplication(Cow::Borrowed(application));
        let options = comment.into_iter().chain([application]).collect();
        let section = SectionHeaderBlock { endianness: Endianness::native(), options, ..SectionHeaderBlock::default() };
        let file = PcapNgWriter::with_section_header(BufWriter::new(file), section).map_err(io_error)?;
        Ok(PcapngWriter { file, interfaces: 0 })
    }

    /// Describes an interface, with words for people, and gives its number; that in `interface` does not count.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn describe(&mut self, interface: &Interface, words: Option<&str>) -> io::Result<u32> {
        let filter = interface.filter.as_ref().map(|filter| [&[0], fitting(filter).as_bytes()].concat());
        let mark = interface.mark.as_ref().map(|mark| InterfaceDescriptionOption::Comment(Cow::Owned(mark.comment())));
        let name = interface.name.as_deref().map(fitting).map(Cow::Borrowed);
        let words = words.map(fitting).map(Cow::Borrowed);
        let mut options: Vec<_> = mark.into_iter().chain(name.map(InterfaceDescriptionOption::IfName)).collect();
        options.extend(words.map(InterfaceDescriptionOption::IfDescription));
        options.push(InterfaceDescriptionOption::IfTsResol(9));
        options.extend(filter.map(|filter| InterfaceDescriptionOption::IfFilter(Cow::Owned(filter))));
        options.extend(interface.addresses.iter().map(|address| match address {
            IpAddr::V4(ip) => InterfaceDescriptionOption::IfIpv4Addr(Cow::Owned([ip.octets(), [255; 4]].concat())),
            IpAddr::V6(ip) => InterfaceDescriptionOption::IfIpv6Addr(Cow::Owned([&ip.octets()[..], &[128]].concat())),
        }));
        let (linktype, snaplen) = (DataLink::from(interface.link_type), interface.snaplen);
        self.file.write_pcapng_block(InterfaceDescriptionBlock { linktype, snaplen, options }).map_err(io_error)?;
        self.interfaces += 1;
        Ok(self.interfaces - 1)
    }

    /// Keeps a frame, as captured on the interface with this number, and what is said of it.
    ///
    /// # Errors
    /// The file cannot be written, or has no such interface.
    pub fn write(&mut self, interface_id: u32, frame: &Frame<'_>, comments: &[String]) -> io::Result<()> {
        let comments = comments.iter().map(|comment| EnhancedPacketOption::Comment(Cow::Borrowed(fitting(comment))));
        let flags = match frame.direction {
            None | Some(Direction::Looped) => None,
            Some(Direction::Incoming) => Some(1),
            Some(Direction::Outgoing) => Some(2),
            Some(Direction::Overheard) => Some(OVERHEARD),
        };
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(ticks(frame.at.time)),
            original_len: frame.original_len,
            data: Cow::Borrowed(frame.bytes),
            options: comments.chain(flags.map(EnhancedPacketOption::Flags)).collect(),
        };
        self.file.write_pcapng_block(block).map(|_| ()).map_err(io_error)
    }

    /// Keeps how many packets the capturing host had dropped at a time.
    ///
    /// # Errors
    /// The file cannot be written, or has no such interface.
    pub fn dropped(&mut self, interface_id: u32, at: Time, count: u64) -> io::Result<()> {
        let timestamp = ticks(at).rotate_left(32); // written as one number, though the format wants its upper half first
        let options = vec![InterfaceStatisticsOption::IsbOsDrop(count)];
        let block = InterfaceStatisticsBlock { interface_id, timestamp, options };
        self.file.write_pcapng_block(block).map(|_| ()).map_err(io_error)
    }

    /// Hands all that was written to the kernel, so that others can read it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.get_mut().flush()
    }
}

fn ticks(time: Time) -> u64 {
    time.0.max(0).cast_unsigned()
}

/// As much of a text as one option holds.
fn fitting(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_OPTION)).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

/// Of an error of the system itself, without what was being done.
fn io_error(why: PcapError) -> io::Error {
    match why {
        PcapError::IoError(why) => why,
        why => io::Error::other(why),
    }
}
