//! The interfaces of this host, and where it stands.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use pcap::Device;
use rustix::net::netdevice::name_to_index;

use super::LiveError;

/// An interface that can be captured on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number in the kernel; 0 for what is none, such as `any`.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
    /// It is up.
    pub up: bool,
}

/// Number, name, state and addresses, in columns.
impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(IpAddr::to_string).collect();
        let state = if self.up { "up" } else { "down" };
        write!(f, "{:3}  {:15}  {state:4}  {}", self.index, self.name, addresses.join(" "))
    }
}

/// All interfaces, in the kernel's order.
///
/// # Errors
/// libpcap cannot list them.
pub fn interfaces() -> Result<Vec<Interface>, LiveError> {
    let devices = Device::list().map_err(LiveError::List)?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(LiveError::Socket)?;
    let mut interfaces: Vec<Interface> =
        devices.into_iter().map(|device| interface(&socket, device)).filter(|it| it.index > 0).collect();
    interfaces.sort_by_key(|interface| interface.index);
    Ok(interfaces)
}

/// `socket` is any: it only leads to the kernel.
fn interface(socket: &UdpSocket, device: Device) -> Interface {
    Interface {
        index: name_to_index(socket, &device.name).unwrap_or(0),
        addresses: device.addresses.iter().map(|address| address.addr).collect(),
        up: device.flags.is_up(),
        name: device.name,
    }
}

/// The address with which this host speaks to `peer`, by its routes. Nothing is sent.
///
/// # Errors
/// No route leads there.
pub fn address_toward(peer: IpAddr) -> io::Result<IpAddr> {
    let unspecified: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((unspecified, 0))?;
    socket.connect((peer, 21))?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_an_interface_and_leads_to_itself() {
        let interfaces = interfaces().expect("interfaces can be listed without rights");
        let own = interfaces.iter().find(|interface| interface.name == "lo").expect("every network namespace has lo");
        assert_eq!(own.index, 1);
        if own.up {
            let address = address_toward(Ipv4Addr::LOCALHOST.into()).expect("lo is up");
            assert!(own.addresses.contains(&address), "{own:?}");
        }
    }
}
