//! What a remedy needs to know of a verdict: the packet that was lost with its addresses as each host sees them, and who
//! may have lost it, likeliest first.

use std::net::IpAddr;

use super::firewall::{Chain, Family, Hook, Pass, Ports};
use crate::ftp::helper::{Reason, Ruling};
use crate::ftp::host_port::{Scope, scope};
use crate::language::{Text, say};
use crate::line::{Owner, Place, Point, Side};
use crate::packet::IcmpError;
use crate::session::join::JoinedAttempt;
use crate::session::view::{Mode, View};
use crate::verdict::case::Case;
use crate::verdict::{Finding, Lost};

/// A box to do something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// The host at an end.
    Host(Side),
    /// A router or firewall between.
    Router,
}

impl On {
    /// Its name in [`Remedy::on`](super::Remedy::on).
    pub(super) fn name(self) -> &'static str {
        match self {
            On::Host(Side::Client) => "client",
            On::Host(Side::Server) => "server",
            On::Router => "router",
        }
    }

    /// The same in a sentence.
    pub(super) fn words(self) -> Text {
        match self {
            On::Host(Side::Client) => say!("the client"),
            On::Host(Side::Server) => say!("the server"),
            On::Router => say!("the router or firewall between"),
        }
    }
}

/// The opening of a connection, with the addresses of one point of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) opener: Side,
    pub(super) source: IpAddr,
    /// None if its SYN was not seen.
    pub(super) source_port: Option<u16>,
    pub(super) destination: IpAddr,
    /// None if it could not be read and its SYN was not seen.
    pub(super) port: Option<u16>,
    /// It is a data connection.
    pub(super) is_data: bool,
}

impl Flow {
    /// A data connection that the client opens.
    pub(super) fn is_passive(self) -> bool {
        self.is_data && self.opener == Side::Client
    }
}

/// A verdict on its way to its remedies.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) case: &'a Case<'a>,
    pub(super) finding: &'a Finding,
    pub(super) owner: Owner,
    /// Netfilter names the rule that lost the packet.
    pub(super) rule_is_known: bool,
}

impl<'a> Scene<'a> {
    /// The verdict is about the control connection.
    fn is_control(&self) -> bool {
        match self.finding.lost {
            Some(Lost::ControlSyn | Lost::ControlSynAck | Lost::ControlSegments) => true,
            Some(Lost::DataSyn | Lost::DataSynAck | Lost::DataSegments) => false,
            None => self.case.transfer.is_none(),
        }
    }

    /// The data connection that decides: the last one.
    pub(super) fn attempt(&self) -> Option<&'a JoinedAttempt> {
        self.case.attempts().last().copied()
    }

    /// The taps from this box's side of the line on; a router has no side, and the main view is as good as any.
    fn sights(&self, on: On) -> Vec<(usize, &'a View)> {
        let mut views: Vec<_> = self.case.views().collect();
        match on {
            On::Host(Side::Client) => {}
            On::Host(Side::Server) => views.reverse(),
            On::Router => views.sort_by_key(|(sight, _)| *sight != self.case.session.main_sight()),
        }
        views
    }

    /// The session's view nearest to this box.
    pub(super) fn view(&self, on: On) -> &'a View {
        self.sights(on).first().map_or(self.case.view(), |(_, view)| view)
    }

    /// The address of an end, as this box sees it.
    pub(super) fn address(&self, on: On, side: Side) -> IpAddr {
        let view = self.view(on);
        match side {
            Side::Client => view.client.ip,
            Side::Server => view.server.ip,
        }
    }

    /// Which end listens for the connection in question; none if nobody was going to.
    pub(super) fn listener(&self) -> Option<Side> {
        if self.is_control() {
            return Some(Side::Server);
        }
        let negotiated = self.case.negotiation().map(|negotiation| negotiation.mode.listener());
        negotiated.or(self.attempt().map(|joined| self.case.listens(Some(joined))))
    }

    /// The opening in question, as this box sees it. A foreign address that was announced is no part of it: opening a way
    /// there would help nobody.
    pub(super) fn flow(&self, on: On) -> Option<Flow> {
        let listener = self.listener()?;
        let attempt = self.attempt().filter(|_| !self.is_control());
        let seen = attempt
            .and_then(|joined| self.sights(on).iter().find_map(|(sight, _)| self.case.session.attempt(*sight, joined)));
        let (opener, is_data) = (!listener, !self.is_control());
        let (source, destination) = (self.address(on, opener), self.address(on, listener));
        let offered = self.case.negotiation().and_then(|negotiation| negotiation.offered).map(|offered| offered.port);
        Some(match seen.map(|attempt| &attempt.connection) {
            Some(connection) => Flow {
                opener,
                source: connection.opener.ip,
                source_port: Some(connection.opener.port),
                destination: connection.listener.ip,
                port: Some(connection.listener.port),
                is_data,
            },
            None if is_data => Flow { opener, source, source_port: None, destination, port: offered, is_data },
            None => {
                let port = Some(self.control_port(on));
                Flow { opener, source, source_port: None, destination, port, is_data }
            }
        })
    }

    /// What has to pass at this box. In passive mode anybody may connect to the server's range; in active mode the server
    /// alone to any port that the client may choose.
    pub(super) fn pass(&self, on: On) -> Option<Pass> {
        let flow = self.flow(on)?;
        let chain = match on {
            On::Host(side) if side == flow.opener => Chain::Output,
            On::Host(_) => Chain::Input,
            On::Router => Chain::Forward,
        };
        let active = flow.is_data && flow.opener == Side::Server;
        let from_20 = flow.source_port.filter(|&port| active && port == DATA_PORT);
        Some(Pass {
            family: Family::of(flow.source),
            chain,
            source: (active && chain != Chain::Output).then_some(flow.source),
            source_port: from_20,
            destination: match chain {
                Chain::Input => None,
                Chain::Output => from_20.is_none().then_some(flow.destination),
                Chain::Forward => Some(flow.destination),
            },
            ports: self.ports(&flow),
        })
    }

    fn ports(&self, flow: &Flow) -> Ports {
        match (flow.is_data, flow.opener, flow.port) {
            (false, _, port) => Ports::one(port.unwrap_or(CONTROL_PORT)),
            (true, Side::Server, _) => Ports::UNPRIVILEGED,
            (true, Side::Client, Some(port)) => Ports::around(port),
            (true, Side::Client, None) => Ports::EXAMPLE,
        }
    }

    /// The range that the server should pin: around the port that failed.
    pub(super) fn passive_range(&self) -> Ports {
        let flow = self.flow(On::Host(Side::Server)).filter(|flow| flow.is_passive());
        flow.and_then(|flow| flow.port).map_or(Ports::EXAMPLE, Ports::around)
    }

    /// The control port as this box sees it.
    pub(super) fn control_port(&self, on: On) -> u16 {
        self.view(on).server.port
    }

    /// IP version of the session as this box sees it.
    pub(super) fn family(&self, on: On) -> Family {
        Family::of(self.view(on).server.ip)
    }

    /// Where a helper on this box has to see the control connection.
    pub(super) fn hook(&self, on: On) -> Hook {
        if on == On::Host(Side::Client) { Hook::Output } else { Hook::Prerouting }
    }

    /// The data connection is opened by the server.
    pub(super) fn is_active(&self) -> bool {
        !self.is_control() && self.listener() == Some(Side::Client)
    }

    /// A helper on the path could have read the negotiation.
    pub(super) fn helper_can_read(&self) -> bool {
        let Some(negotiation) = self.case.negotiation() else { return false };
        let known = match negotiation.mode {
            Mode::Port | Mode::Pasv | Mode::Eprt | Mode::Epsv => true,
            Mode::Lprt | Mode::Lpsv => false,
        };
        let read = match negotiation.helper {
            None | Some(Ruling::Ignored | Ruling::Expects(_) | Ruling::NoExpectation(Reason::OutOfStep)) => true,
            Some(Ruling::NoExpectation(_) | Ruling::Dropped(_)) => false,
        };
        known && read && !self.is_encrypted()
    }

    /// The control connection cannot be read on the path.
    pub(super) fn is_encrypted(&self) -> bool {
        self.case.view().encrypted.is_some()
    }

    /// The client has an address of its own that the server cannot reach.
    pub(super) fn is_client_hidden(&self) -> bool {
        let client = scope(self.address(On::Host(Side::Client), Side::Client));
        let server = scope(self.address(On::Host(Side::Client), Side::Server));
        client != Scope::Public && server == Scope::Public
    }

    /// The ICMP error that refused the packet.
    pub(super) fn icmp(&self) -> Option<&'a IcmpError> {
        let which = self.attempt().filter(|_| !self.is_control());
        let connections = self.case.connections(which);
        connections.into_iter().find_map(|(_, connection)| connection.icmp.as_deref())
    }

    /// Who may have lost a packet on its way to `receiver`'s host, likeliest first. Hosts filter what opens a connection
    /// to them; what belongs to an open one (no receiver named) is lost by the boxes between.
    pub(super) fn suspects(&self, receiver: Option<Side>) -> Vec<On> {
        let host = match self.owner {
            Owner::Client | Owner::BeyondServer => Some(Side::Client),
            Owner::Server | Owner::BeyondClient => Some(Side::Server),
            Owner::Unknown => receiver,
            Owner::Network | Owner::None => None,
        };
        let stranger = self.is_device_between();
        let hosts = host.filter(|_| !stranger).map(On::Host);
        let router = (stranger || (self.owner != Owner::None && !self.is_one_host())).then_some(On::Router);
        let mut suspects: Vec<On> = hosts.into_iter().chain(router).collect();
        if host.is_some() && host != receiver && suspects.len() > 1 {
            suspects.reverse();
        }
        suspects
    }

    /// The address that signed an ICMP error is neither end's.
    fn is_device_between(&self) -> bool {
        let is_end = |ip| self.case.views().any(|(_, view)| view.client.ip == ip || view.server.ip == ip);
        self.finding.device.is_some_and(|ip| !is_end(ip))
    }

    /// The stretch is one host: its own tap bounds it, or addresses narrowed it to the host.
    pub(super) fn is_one_host(&self) -> bool {
        let place = |point| match point {
            Point::Tap(sight) => Some(self.case.place(sight)),
            Point::Client | Point::Server => None,
        };
        let by_tap = self.finding.stretch.is_some_and(|stretch| match (stretch.from, stretch.to) {
            (Point::Client, to) => place(to) == Some(Place::Client),
            (from, Point::Server) => place(from) == Some(Place::Server),
            (Point::Tap(_) | Point::Server, Point::Tap(_) | Point::Client) => false,
        });
        by_tap || matches!(self.finding.owner, Some(Owner::Client | Owner::Server))
    }
}

/// Where a server sends active data from, if it is set to (RFC 959 section 3.2: the port before the control port).
const DATA_PORT: u16 = 20;

/// Where a server listens if nothing else is known (RFC 959).
const CONTROL_PORT: u16 = 21;
