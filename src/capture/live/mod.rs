//! Live capture on this host (Linux).
//!
//! [`Sniffer`] lends frames as [`crate::capture::file::TapReader`] does; [`Writer`] keeps them as pcapng. By default one
//! packet socket on `any` sees every interface, `lo` included, where alone a rejected OUTPUT shows; its cooked headers
//! (LINUX_SLL2) tell interface and direction.

pub mod conntrack;
mod interfaces;
pub mod keeper;
mod netfilter;
pub mod nflog;
pub mod privileges;
mod rules;
mod sampler;
mod snapshot;
mod sniffer;
pub mod sockets;
pub mod tracer;
mod writer;

use std::path::PathBuf;

use thiserror::Error;

pub use interfaces::{Interface, address_toward, interfaces};
pub use netfilter::Netfilter;
pub use rules::host;
pub use sampler::{MAX_PORTS, Sampler};
pub use snapshot::snapshot;
pub(crate) use sniffer::LATEST;
pub use sniffer::{Options, Sniffer};
pub use writer::{Writer, create};

/// Why a live capture is not possible, or went wrong.
#[derive(Debug, Error)]
pub enum LiveError {
    /// The interfaces are unknown.
    #[error("cannot list the interfaces: {0}")]
    List(#[source] pcap::Error),
    /// The kernel gives no socket.
    #[error("cannot open a socket: {0}")]
    Socket(#[source] std::io::Error),
    /// There is no such interface.
    #[error("no interface is called '{name}'; there are {known}")]
    NoInterface {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The user may not capture.
    #[error(
        "capturing on {device} needs the right CAP_NET_RAW: run it with sudo, or grant it once: \
         sudo setcap cap_net_raw,cap_net_admin+ep {program}"
    )]
    NotPermitted {
        /// On what.
        device: String,
        /// The program that needs the right.
        program: String,
    },
    /// libpcap fails.
    #[error("cannot capture on {device}: {why}")]
    Capture {
        /// On what.
        device: String,
        /// libpcap's own words.
        why: pcap::Error,
    },
    /// A capture that was running gives no more.
    #[error(
        "the capture on {device} has ended: the interface went down or is gone ({why}); what was seen until then is told"
    )]
    Ended {
        /// On what.
        device: String,
        /// libpcap's own words.
        why: pcap::Error,
    },
    /// The capture filter is none.
    #[error("cannot filter by '{expression}': {why}; the language is tcpdump's, see pcap-filter(7)")]
    Filter {
        /// What was asked for.
        expression: String,
        /// libpcap's own words.
        why: pcap::Error,
    },
    /// The file to write cannot be written.
    #[error("cannot write {}: {why}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
}
