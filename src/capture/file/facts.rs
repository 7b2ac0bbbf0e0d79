//! What the captures of one tap say about themselves, and what was wrong with them.

use std::fmt;
use std::net::IpAddr;

use super::mark::Mark;

/// All that is known of a tap's files so far; it grows while frames are read.
///
/// Names and filters are as the file has them: escape them before a terminal or a page sees them.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The files, in the order of [`At::file`](crate::cite::At::file).
    pub files: Vec<FileFacts>,
    /// The interfaces, in the order of [`Frame::interface`](field@crate::packet::Frame::interface). Interfaces of several
    /// files (or sections) are one if the files describe them alike, as those of a rotated capture do.
    pub interfaces: Vec<Interface>,
    /// What could not be read and why, each told once, in the order in which it was met.
    pub notes: Vec<Note>,
    /// The only capture that is read of an annotated file, if there is such a choice.
    pub(super) only: Option<u32>,
}

/// Most interfaces of one tap that are kept: a big host has some hundred. With the longest
/// names and filters that are kept they take 8 MiB. Packets of further ones are passed over with a note.
pub(super) const MAX_INTERFACES: usize = 1024;

impl Facts {
    /// Facts about files with these names, before anything is read.
    pub(super) fn new(names: Vec<String>) -> Facts {
        let files = names.into_iter().map(|name| FileFacts { name, ..FileFacts::default() }).collect();
        Facts { files, ..Facts::default() }
    }

    /// Packets that the capturing host lost (pcapng `isb_ifdrop` and `isb_osdrop`), summed over the interfaces; none
    /// if no file says. `Some(0)` means the capture is complete.
    pub fn lost(&self) -> Option<u64> {
        self.interfaces.iter().filter_map(Interface::lost).reduce(u64::saturating_add)
    }

    /// The capturing host's own addresses, as far as the files tell.
    pub fn own_addresses(&self) -> Vec<IpAddr> {
        self.interfaces.iter().flat_map(|interface| interface.addresses.iter().copied()).collect()
    }

    /// What an annotated file says of the captures that it holds.
    pub fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.interfaces.iter().filter_map(|interface| interface.mark.as_deref())
    }

    /// The number of `interface` in the tap; none if there are too many, or it is another capture's.
    pub(super) fn number(&mut self, interface: Interface) -> Option<u32> {
        if self.only.is_some() && self.only != interface.mark.as_ref().map(|mark| mark.capture) {
            return None;
        }
        let known = self.interfaces.iter().position(|known| known.is(&interface));
        if known.is_none() && self.interfaces.len() < MAX_INTERFACES {
            self.interfaces.push(interface);
            return u32::try_from(self.interfaces.len() - 1).ok();
        }
        known.and_then(|number| u32::try_from(number).ok())
    }

    /// Tells something of `file`, met after as many packets as it has given.
    pub(super) fn note(&mut self, file: u16, kind: NoteKind, text: String) {
        let after = self.files[usize::from(file)].packets;
        self.notes.push(Note { file, after, kind, text });
    }
}

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileFacts {
    /// Name to show: the last part of the path, or the whole path where two files share that; `stdin`.
    pub name: String,
    /// Packets so far, those passed over included, as Wireshark counts them.
    pub packets: u64,
    /// Packets without a time (pcapng simple packet blocks); they were given the time of the packet before.
    pub untimed: u64,
    /// None if the file could not be read, or is not yet.
    pub format: Option<Format>,
    /// How the file is packed.
    pub compression: Compression,
    /// Link types (`LINKTYPE_*`) that the file declares, in the order in which it does.
    pub link_types: Vec<u32>,
    /// Largest snap length in bytes that the file declares; none if it sets no limit.
    pub snaplen: Option<u32>,
}

impl FileFacts {
    /// Keeps what a file header or an interface description declares.
    pub(super) fn declare(&mut self, link_type: u32, snaplen: u32) {
        if !self.link_types.contains(&link_type) && self.link_types.len() < MAX_INTERFACES {
            self.link_types.push(link_type);
        }
        self.snaplen = self.snaplen.max((snaplen > 0).then_some(snaplen));
    }
}

/// Format of a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// pcap with microseconds.
    Pcap,
    /// pcap with nanoseconds.
    PcapNanosecond,
    /// pcap with the longer record headers of Kuznetzov's libpcap, which carry the direction.
    PcapModified,
    /// pcapng.
    Pcapng,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Pcap => "pcap",
            Format::PcapNanosecond => "pcap with nanoseconds",
            Format::PcapModified => "modified pcap",
            Format::Pcapng => "pcapng",
        })
    }
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// It is not.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

/// An interface that a file describes; a pcap file describes one without a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Number within its file's section, from 0.
    pub number: u32,
    /// `if_name`, such as `eth0`.
    pub name: Option<String>,
    /// `if_filter`: the capture filter, in libpcap's language.
    pub filter: Option<String>,
    /// `LINKTYPE_*`.
    pub link_type: u32,
    /// Longest captured length in bytes; 0 if there is no limit.
    pub snaplen: u32,
    /// `if_IPv4addr`, `if_IPv6addr`: the capturing host's own addresses there.
    pub addresses: Vec<IpAddr>,
    /// What an annotated file says of its capture.
    pub mark: Option<Box<Mark>>,
    pub(crate) drops: Option<Drops>,
}

impl Interface {
    /// Packets lost on this interface; none if no file says.
    pub fn lost(&self) -> Option<u64> {
        self.drops.map(|drops| drops.settled.saturating_add(drops.running))
    }

    /// Keeps a count of lost packets that has been running since `start`.
    pub(super) fn count_lost(&mut self, start: u64, lost: u64) {
        let drops = self.drops.get_or_insert(Drops { start, ..Drops::default() });
        if drops.start != start {
            drops.settled = drops.settled.saturating_add(drops.running);
            *drops = Drops { settled: drops.settled, start, running: 0 };
        }
        drops.running = drops.running.max(lost);
    }

    fn is(&self, other: &Interface) -> bool {
        let Interface { number, name, filter, link_type, snaplen, addresses, mark, drops: _ } = self;
        (number, name, filter, mark) == (&other.number, &other.name, &other.filter, &other.mark)
            && (link_type, snaplen, addresses) == (&other.link_type, &other.snaplen, &other.addresses)
    }
}

/// A counter of lost packets. It runs from the start of a capture over all files that the capture is rotated into,
/// so only counts with different starts add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drops {
    /// Of earlier captures.
    settled: u64,
    /// `isb_starttime` of the present one; 0 if it does not say.
    start: u64,
    /// Of the present one.
    running: u64,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Which file, as [`At::file`](crate::cite::At::file).
    pub file: u16,
    /// Number of the last frame before; 0 if there is none.
    pub after: u64,
    /// What follows from it.
    pub kind: NoteKind,
    /// What, where, and what to do about it, for people.
    pub text: String,
}

/// What a [`Note`] means for the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// Nothing of the file is read.
    Unreadable,
    /// The file ends early: all that comes after is missing.
    Ended,
    /// Single packets are missing.
    Skipped,
}
