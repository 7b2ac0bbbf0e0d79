//! Floor 2: commands and replies, made from text.
//!
//! From the bytes of one direction of a control connection to [lines](mod@line), and from lines to a [command](mod@command) or
//! a part of a [reply](mod@reply); what both say about addresses is read in [`host_port`]. [`helper`] tells what a Linux
//! firewall on the path makes of the same bytes.

pub mod command;
pub mod helper;
pub mod host_port;
pub mod line;
pub mod reply;

/// One of the two parties of a control connection (RFC 959 section 2.2: user-PI and server-PI).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// Opened the control connection; sends commands.
    Client,
    /// Sends replies.
    Server,
}
