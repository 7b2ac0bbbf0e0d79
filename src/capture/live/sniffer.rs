//! Frames from the kernel, through libpcap.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use pcap::{Active, Capture, Error, Linktype, Precision};

use super::{Interface, LiveError, interfaces};
use crate::cite::{At, Time};
use crate::packet::Frame;

/// What to capture.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names of the interfaces; none: all.
    pub interfaces: Vec<String>,
    /// Captures frames for others, too; possible on a single interface only.
    pub promiscuous: bool,
    /// Buffer in the kernel in bytes.
    pub buffer: u32,
    /// Ports of control connections, whose every packet is kept.
    pub control_ports: Vec<u16>,
    /// A further condition in libpcap's language.
    pub filter: Option<String>,
}

/// A running capture.
pub struct Sniffer {
    capture: Capture<Active>,
    device: String,
    link_type: u32,
    /// The conditions that were asked for, each in parentheses.
    within: String,
    filter: String,
    interfaces: Vec<Interface>,
}

/// The device that stands for all interfaces.
const ANY: &str = "any";

/// Longest frame that is kept, in bytes: the control connection's segments are wanted whole.
const SNAPLEN: i32 = 65_535;

/// How the kernel hands frames over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handing {
    /// Each at once, in slots of the longest frame that is kept (libpcap's immediate mode, `TPACKET_V2`).
    Each,
    /// In blocks, filled or [`LATEST`] old (`TPACKET_V3`): a buffer of 16 MiB holds a hundred thousand short frames, and not
    /// 250 slots of [`SNAPLEN`].
    Blocks,
}

/// Frames are handed over no later than this after they came.
pub(crate) const LATEST: Duration = Duration::from_millis(50);

/// TCP of every kind that opens or ends a connection, IPv4 and IPv6, as [`crate::verdict`] knows it: with it, a data
/// connection that is not in the capture was not there.
const OPENINGS: &str = crate::verdict::OPENINGS_FILTER;

/// ICMP errors of both versions, first fragments, and IPv6 packets whose TCP header is behind others.
const ERRORS_AND_FRAGMENTS: &str = "(icmp[icmptype] = 3 or icmp[icmptype] = 11 or icmp[icmptype] = 12) \
    or (ip6[6] = 58 and ip6[40] >= 1 and ip6[40] <= 4) or (ip[6:2] & 0x3fff = 0x2000) \
    or (ip6[6] = 44 and ip6[42:2] & 0xfff8 = 0) or (ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 60)";

impl Sniffer {
    /// Opens the capture; packets gather from here on.
    ///
    /// # Errors
    /// An interface that is not there, a missing right, a filter that is none; libpcap's own errors.
    pub fn open(options: &Options) -> Result<Sniffer, LiveError> {
        Sniffer::open_for(options, Handing::Blocks, SNAPLEN, kept)
    }

    /// Opens a capture of the same packets as `options` but for `what` of them is kept, given the link type.
    pub(super) fn open_for(
        options: &Options,
        handing: Handing,
        snaplen: i32,
        what: impl Fn(&Options, Linktype) -> String,
    ) -> Result<Sniffer, LiveError> {
        let known = interfaces()?;
        let asked = asked(options, &known)?;
        let device = match asked[..] {
            [only] => only.name.clone(),
            _ => ANY.to_owned(),
        };
        let failed = |why| failed(&device, why);
        let capture = Capture::from_device(device.as_str()).map_err(failed)?;
        let capture = capture
            .immediate_mode(handing == Handing::Each)
            .timeout(LATEST.subsec_millis().cast_signed())
            .buffer_size(i32::try_from(options.buffer).unwrap_or(i32::MAX))
            .snaplen(snaplen)
            .promisc(options.promiscuous && device != ANY)
            .precision(Precision::Nano);
        let mut capture = capture.open().map_err(failed)?;
        if device == ANY {
            capture.set_datalink(Linktype::LINUX_SLL2).map_err(failed)?;
        }
        let link_type = capture.get_datalink();
        let within = within(options, &asked);
        let filter = both(&within, &what(options, link_type));
        capture.filter(&filter, true).map_err(|why| {
            let expression = options.filter.clone().unwrap_or_else(|| filter.clone());
            LiveError::Filter { expression, why }
        })?;
        let capture = capture.setnonblock().map_err(failed)?;
        let link_type = link_type.0.cast_unsigned();
        Ok(Sniffer { capture, link_type, within, filter, interfaces: known, device })
    }

    /// Keeps `what` from now on, within what was asked for at the start.
    pub(super) fn keep(&mut self, what: &str) -> Result<(), LiveError> {
        self.filter = both(&self.within, what);
        self.capture.filter(&self.filter, true).map_err(|why| failed(&self.device, why))
    }

    /// The next frame that is there already; none if there is none now. It has no number yet, and is lent until the next
    /// call.
    ///
    /// # Errors
    /// The interface is gone, or libpcap's own errors.
    pub fn read(&mut self) -> Result<Option<Frame<'_>>, LiveError> {
        match self.capture.next_packet() {
            Ok(packet) => {
                let at = At { time: time(packet.header.ts), ..At::default() };
                let interface = interface_of(self.link_type, packet.data);
                Ok(Some(Frame {
                    at,
                    link_type: self.link_type,
                    interface,
                    direction: None,
                    bytes: packet.data,
                    original_len: packet.header.len,
                }))
            }
            Err(Error::TimeoutExpired | Error::NoMorePackets) => Ok(None),
            Err(why) => Err(LiveError::Ended { device: self.device.clone(), why }),
        }
    }

    /// Packets that the kernel dropped because its buffer was full.
    pub fn lost(&mut self) -> u64 {
        self.capture.stats().map_or(0, |stats| u64::from(stats.dropped))
    }

    /// The device: an interface, or `any`.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The capture filter in libpcap's language.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// Link type (`LINKTYPE_*`).
    pub fn link_type(&self) -> u32 {
        self.link_type
    }

    /// The interfaces of this host as they were at the start.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The addresses of this host.
    pub fn own_addresses(&self) -> Vec<IpAddr> {
        self.interfaces.iter().flat_map(|interface| interface.addresses.clone()).collect()
    }
}

impl AsFd for Sniffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.capture.as_fd()
    }
}

/// The interfaces with these names.
fn asked<'a>(options: &Options, known: &'a [Interface]) -> Result<Vec<&'a Interface>, LiveError> {
    let find = |name: &String| {
        let names = || known.iter().map(|interface| interface.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = known.iter().find(|interface| interface.name == *name);
        found.ok_or_else(|| LiveError::NoInterface { name: name.clone(), known: names() })
    };
    options.interfaces.iter().filter(|name| *name != ANY).map(find).collect()
}

/// What the kernel is to keep, tagged or not. Cooked headers come without tags.
fn kept(options: &Options, link_type: Linktype) -> String {
    let control: Vec<String> = options.control_ports.iter().map(|port| format!("tcp port {port}")).collect();
    let kept = format!("{} or {OPENINGS} or {ERRORS_AND_FRAGMENTS}", control.join(" or "));
    if link_type == Linktype::ETHERNET { format!("({kept}) or (vlan and ({kept}))") } else { kept }
}

/// The interfaces, where `any` stands for more than are asked for, and the user's own condition.
fn within(options: &Options, asked: &[&Interface]) -> String {
    let numbers = asked.iter().map(|interface| format!("ifindex {}", interface.index));
    let interfaces = (asked.len() > 1).then(|| numbers.collect::<Vec<_>>().join(" or "));
    let all = interfaces.into_iter().chain(options.filter.clone());
    all.map(|part| format!("({part})")).collect::<Vec<_>>().join(" and ")
}

fn both(within: &str, what: &str) -> String {
    if within.is_empty() { format!("({what})") } else { format!("{within} and ({what})") }
}

fn time(stamp: libc::timeval) -> Time {
    // with Precision::Nano the microseconds are nanoseconds
    Time(stamp.tv_sec.saturating_mul(1_000_000_000).saturating_add(stamp.tv_usec))
}

/// The kernel's number of a frame's interface (libpcap `pcap/sll.h`, `sll2_if_index`); 0 where the header has none.
fn interface_of(link_type: u32, bytes: &[u8]) -> u32 {
    const LINUX_SLL2: u32 = 276;
    match bytes.get(4..8) {
        Some(&[a, b, c, d]) if link_type == LINUX_SLL2 => u32::from_be_bytes([a, b, c, d]),
        _ => 0,
    }
}

fn failed(device: &str, why: Error) -> LiveError {
    let device = device.to_owned();
    let words = why.to_string();
    if words.contains("permission") || words.contains("not permitted") {
        let program = std::env::current_exe().map_or_else(|_| "ftpwhy".to_owned(), |path| path.display().to_string());
        return LiveError::NotPermitted { device, program };
    }
    LiveError::Capture { device, why }
}
