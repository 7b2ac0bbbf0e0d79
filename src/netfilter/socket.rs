//! The TCP sockets of this host, as the kernel lists them.
//!
//! Read first: sock_diag(7); `linux/inet_diag.h`; ss(8). What a capture cannot show is here: a socket in
//! [`State::SynSent`] with rising [retransmissions](Socket::retransmits) while no SYN leaves is a drop on this host's own way
//! out; without a [listener](State::Listen), a RST is a closed port and no rule. A socket in [`State::SynRecv`] whose SYN-ACK is
//! dropped on the way out is forgotten when that would be repeated, and made anew by the next SYN.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::netlink::messages;
use crate::packet::Endpoint;

/// State of a socket (`linux/tcp.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of RFC 9293 section 3.3.2")]
pub enum State {
    Established = 1,
    SynSent,
    SynRecv,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
}

/// All states, by number from 1.
const STATES: [State; 11] = [
    State::Established,
    State::SynSent,
    State::SynRecv,
    State::FinWait1,
    State::FinWait2,
    State::TimeWait,
    State::Close,
    State::CloseWait,
    State::LastAck,
    State::Listen,
    State::Closing,
];

/// A TCP socket. IPv4 addresses of IPv6 sockets are written as IPv4; a listener for both is at `[::]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Its state.
    pub state: State,
    /// This host's end.
    pub local: Endpoint,
    /// The other end; of a listener zero.
    pub remote: Endpoint,
    /// How often what waits for an answer was sent again.
    pub retransmits: u8,
    /// Bytes that the program has not read; of a listener: connections that it has not accepted.
    pub receive_queue: u32,
    /// Bytes that the other end has not acknowledged; of a listener: how many connections may wait. An accept queue is full
    /// when more wait.
    pub send_queue: u32,
    /// User whose it is.
    pub uid: u32,
}

impl Socket {
    /// Its program does not accept what has come, and the kernel drops every further SYN (`tcp_conn_request` in
    /// `net/ipv4/tcp_input.c`).
    pub fn is_full(&self) -> bool {
        self.state == State::Listen && self.receive_queue > self.send_queue
    }
}

/// Which sockets to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// In one of these states.
    pub states: &'a [State],
    /// With this port at this host's end.
    pub local_port: Option<u16>,
    /// With this port at the other end.
    pub remote_port: Option<u16>,
}

/// `inet_diag_sockid` in bytes.
const ID: usize = 48;
/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `AF_INET`.
const IPV4: u8 = 2;
/// `AF_INET6`.
const IPV6: u8 = 10;

/// The messages that ask for lists: one of IPv4 sockets, one of IPv6 sockets. The second is sent when the first list has
/// ended.
pub fn requests(wanted: &Wanted<'_>) -> [Vec<u8>; 2] {
    [request(IPV4, wanted), request(IPV6, wanted)]
}

/// `nlmsghdr` and `inet_diag_req_v2`.
fn request(family: u8, wanted: &Wanted<'_>) -> Vec<u8> {
    /// `NLM_F_REQUEST` and `NLM_F_DUMP`.
    const FLAGS: u16 = 1 | 0x300;
    const TCP: u8 = 6;
    const LENGTH: u32 = 16 + 8 + ID as u32;
    let header = [&LENGTH.to_ne_bytes()[..], &BY_FAMILY.to_ne_bytes(), &FLAGS.to_ne_bytes(), &[0; 8]].concat();
    let states = wanted.states.iter().fold(0_u32, |states, &state| states | 1 << state as u32);
    let port = |port: Option<u16>| port.unwrap_or(0).to_be_bytes();
    let ports = [port(wanted.local_port), port(wanted.remote_port)].concat();
    [&header[..], &[family, TCP, 0, 0], &states.to_ne_bytes(), &ports, &[0; ID - 4]].concat()
}

/// Takes a datagram of a list: its sockets are added to `sockets`. Returns how the list ended, an error number or 0; none if
/// more is to come.
pub fn take(datagram: &[u8], sockets: &mut Vec<Socket>) -> Option<i32> {
    /// `NLMSG_ERROR`.
    const ERROR: u16 = 2;
    /// `NLMSG_DONE`.
    const DONE: u16 = 3;
    for message in messages(datagram).flatten() {
        match message.kind {
            ERROR | DONE => {
                return message.payload.first_chunk().map(|error| i32::from_ne_bytes(*error).wrapping_neg());
            }
            BY_FAMILY => sockets.extend(socket(message.payload)),
            _ => {}
        }
    }
    None
}

/// `inet_diag_msg`.
fn socket(payload: &[u8]) -> Option<Socket> {
    /// `idiag_timer` of a socket that waits for an answer.
    const RETRANSMISSION: u8 = 1;
    let (&[family, state, timer, retransmits], rest) = payload.split_first_chunk()?;
    let (&id, rest) = rest.split_first_chunk::<ID>()?;
    let (_expires, rest) = rest.split_first_chunk::<4>()?;
    let (receive_queue, rest) = rest.split_first_chunk()?;
    let (send_queue, rest) = rest.split_first_chunk()?;
    let (uid, _inode) = rest.split_first_chunk()?;
    Some(Socket {
        state: *STATES.get(usize::from(state).checked_sub(1)?)?,
        local: end(family, &id, 0, 4)?,
        remote: end(family, &id, 2, 20)?,
        retransmits: if timer == RETRANSMISSION { retransmits } else { 0 },
        receive_queue: u32::from_ne_bytes(*receive_queue),
        send_queue: u32::from_ne_bytes(*send_queue),
        uid: u32::from_ne_bytes(*uid),
    })
}

/// The end whose port and address are at these places.
fn end(family: u8, id: &[u8; ID], port: usize, address: usize) -> Option<Endpoint> {
    let port = u16::from_be_bytes(*id[port..].first_chunk()?);
    let ip = match family {
        IPV4 => IpAddr::V4(Ipv4Addr::from(*id[address..].first_chunk::<4>()?)),
        IPV6 => Ipv6Addr::from(*id[address..].first_chunk::<16>()?).to_canonical(),
        _ => return None,
    };
    Some(Endpoint { ip, port })
}

#[cfg(test)]
mod tests;
