//! The line from the client to the server as data, and as hosts and links.

use std::fmt;
use std::process::Command;

use crate::host::{Fallible, Host, output};

/// A host on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Client,
    /// 0 is the client's router, the last one the server's.
    Router(usize),
    /// A box without an address in the middle of a link; see [`Wire`].
    Wire,
    Server,
    /// A second server on a link of its own behind the last router, aside of the line.
    Other,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Client => f.write_str("client"),
            At::Router(router) => write!(f, "router-{}", router + 1),
            At::Wire => f.write_str("wire"),
            At::Server => f.write_str("server"),
            At::Other => f.write_str("other"),
        }
    }
}

/// What a link does to the packets on it, if it is long or a meddler sits on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wire {
    /// Milliseconds that a packet takes.
    pub(crate) delay: u32,
    /// Words of a control connection that come out as others of the same length.
    pub(crate) rewrites: Option<(&'static str, &'static str)>,
}

/// Whose addresses are whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Everybody knows everybody.
    Plain,
    /// The client's network is private, and unknown beyond its router.
    ClientNat,
    /// The server's network is private, and unknown beyond its router.
    ServerNat,
    /// The client calls, from inside, the public address of its own router.
    Hairpin,
}

/// A line: client, routers, server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) routers: usize,
    pub(crate) v6: bool,
    pub(crate) plan: Plan,
    /// Bytes that the link behind the client's router carries.
    pub(crate) mtu: u16,
    /// Whether network cards complete checksums and cut segments, so that captures on hosts show neither.
    pub(crate) offload: bool,
    /// What the link behind the client's router is, if it is no plain one; without a router, the only link.
    pub(crate) wire: Option<Wire>,
    /// Whether there is a second server.
    pub(crate) other: bool,
}

/// A capture on every interface of a host at once. A router's holds both its taps.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub(crate) at: At,
    /// Name of its file.
    pub(crate) name: String,
    /// Its taps, by position among [`Line::taps`].
    pub(crate) taps: Vec<usize>,
}

/// The routers' interfaces, towards the client and towards the server.
const LEFT: &str = "left";
const RIGHT: &str = "right";

/// The last router's interface towards the second server, and the addresses of that link's ends.
const SIDE: &str = "side";
const OTHER: (&str, &str) = ("192.168.30.1", "192.168.30.10");

/// The public address of the hairpin's router.
pub(crate) const HAIRPIN: &str = "192.0.2.2";

impl Line {
    /// One that everybody knows.
    pub(crate) const fn plain(routers: usize, v6: bool) -> Line {
        Line { routers, v6, plan: Plan::Plain, mtu: 1500, offload: false, wire: None, other: false }
    }

    /// The addresses of every link's two ends, the client's end first.
    fn links(self) -> &'static [(&'static str, &'static str)] {
        match (self.plan, self.routers, self.v6) {
            (Plan::Plain, 0, false) => &[("172.16.0.99", "172.16.0.10")],
            (Plan::Plain, 1, false) => &[("192.168.10.99", "192.168.10.1"), ("192.168.20.1", "192.168.20.10")],
            (Plan::Plain, _, false) => {
                &[("10.1.1.99", "10.1.1.1"), ("10.9.9.1", "10.9.9.2"), ("10.3.3.1", "10.3.3.10")]
            }
            (Plan::Plain, 0, true) => &[("2001:db8::99", "2001:db8::10")],
            (Plan::Plain, 1, true) => &[("2001:db8:1::99", "2001:db8:1::1"), ("2001:db8:2::1", "2001:db8:2::10")],
            (Plan::Plain, _, true) => &[
                ("2001:db8:1::99", "2001:db8:1::1"),
                ("2001:db8:9::1", "2001:db8:9::2"),
                ("2001:db8:3::1", "2001:db8:3::10"),
            ],
            (Plan::ClientNat, _, true) => {
                &[("fd00:1::50", "fd00:1::1"), ("2001:db8:7::7", "2001:db8:7::1"), ("2001:db8:8::1", "2001:db8:8::10")]
            }
            (Plan::ServerNat, _, true) => {
                &[("2001:db8:5::50", "2001:db8:5::1"), ("2001:db8:6::1", "2001:db8:6::2"), ("fd00:2::1", "fd00:2::20")]
            }
            (Plan::ClientNat, 1, _) => &[("192.168.1.50", "192.168.1.1"), ("203.0.113.7", "203.0.113.10")],
            (Plan::ClientNat, _, _) => {
                &[("192.168.1.50", "192.168.1.1"), ("198.51.100.7", "198.51.100.1"), ("203.0.113.1", "203.0.113.10")]
            }
            (Plan::ServerNat, _, _) => {
                &[("198.51.100.50", "198.51.100.1"), ("192.0.2.1", "192.0.2.2"), ("10.0.0.1", "10.0.0.20")]
            }
            (Plan::Hairpin, _, _) => &[("10.0.1.50", "10.0.1.1"), ("10.0.0.1", "10.0.0.20")],
        }
    }

    pub(crate) fn client(self) -> &'static str {
        self.links()[0].0
    }

    pub(crate) fn server(self) -> &'static str {
        self.links()[self.routers].1
    }

    /// The address that the client calls.
    pub(crate) fn called(self) -> &'static str {
        match self.plan {
            Plan::Plain | Plan::ClientNat => self.server(),
            Plan::ServerNat => self.links()[1].1,
            Plan::Hairpin => HAIRPIN,
        }
    }

    /// The names of all taps, from the client to the server.
    pub(crate) fn taps(self) -> Vec<String> {
        let between = (1..=2 * self.routers).map(|number| format!("between-{number}.pcap"));
        let ends = ["client.pcap", "server.pcap"].map(str::to_owned);
        let [client, server] = ends;
        std::iter::once(client).chain(between).chain([server]).collect()
    }

    /// The names of the captures on every host's interfaces at once, from the client to the server.
    pub(crate) fn wholes(self) -> Vec<Whole> {
        let last = 2 * self.routers + 1;
        let routers = (0..self.routers).map(|router| (At::Router(router), vec![2 * router + 1, 2 * router + 2]));
        let hosts = std::iter::once((At::Client, vec![0])).chain(routers).chain([(At::Server, vec![last])]);
        hosts.map(|(at, taps)| Whole { at, name: format!("{at}-any.pcap"), taps }).collect()
    }

    /// The address of the second server.
    pub(crate) fn other_server(self) -> &'static str {
        OTHER.1
    }

    /// Where a packet is that a host keeps: between two points of the line, 0 the client, then the taps, then the server.
    pub(crate) fn interval(self, at: At) -> (usize, usize) {
        let last = 2 * self.routers + 2;
        match at {
            At::Client => (0, 1),
            At::Router(router) => (2 * router + 2, 2 * router + 3),
            At::Wire => (2 * self.wire_link() + 1, 2 * self.wire_link() + 2),
            At::Server | At::Other => (last, last + 1),
        }
    }

    /// The link that [`Line::wire`] tells of.
    fn wire_link(self) -> usize {
        self.routers.min(1)
    }

    /// The line in words, for a recipe.
    pub(crate) fn told(self) -> String {
        let links = self.links();
        let routers = links.windows(2).enumerate();
        let routers = routers.map(|(router, pair)| format!(" - router-{} ({} | {})", router + 1, pair[0].1, pair[1].0));
        let other =
            if self.other { format!("; second server {} behind the last router", OTHER.1) } else { String::new() };
        format!("client {}{} - server {}{other}", self.client(), routers.collect::<String>(), self.server())
    }

    fn names(self) -> &'static [&'static str] {
        match self.routers {
            0 => &["client", "server"],
            1 => &["client", "router-1", "server"],
            _ => &["client", "router-1", "router-2", "server"],
        }
    }
}

/// The hosts of a line, joined.
#[derive(Debug)]
pub(crate) struct Network {
    hosts: Vec<Host>,
    wire: Option<Host>,
    other: Option<Host>,
}

impl Network {
    /// Builds a line.
    pub(crate) fn build(line: Line) -> Fallible<Network> {
        let hosts = line.names().iter().map(|name| Host::start(name)).collect::<Fallible<Vec<Host>>>()?;
        let wire = line.wire.map(|_| Host::start("wire")).transpose()?;
        let other = line.other.then(|| Host::start("other")).transpose()?;
        for (number, pair) in hosts.windows(2).enumerate() {
            let (left, right) = ((&pair[0], ends(&pair[0]).1), (&pair[1], ends(&pair[1]).0));
            match &wire {
                Some(wire) if number == line.wire_link() => {
                    link(left, (wire, LEFT))?;
                    link((wire, RIGHT), right)?;
                }
                _ => link(left, right)?,
            }
        }
        for (number, host) in hosts.iter().enumerate() {
            host.run(&script(line, number))?;
        }
        if let Some((wire, what)) = wire.as_ref().zip(line.wire) {
            carry(wire, what, line.mtu)?;
        }
        if let Some(other) = &other {
            let router = &hosts[line.routers];
            link((router, SIDE), (other, "eth0"))?;
            router.run(&interface(line, SIDE, OTHER.0, 1500))?;
            other.run(&(interface(line, "eth0", OTHER.1, 1500) + &format!("ip route add default via {}", OTHER.0)))?;
        }
        Ok(Network { hosts, wire, other })
    }

    /// A host; the server if there is no second one or no wire.
    pub(crate) fn at(&self, at: At) -> &Host {
        let server = &self.hosts[self.hosts.len() - 1];
        match at {
            At::Client => &self.hosts[0],
            At::Router(router) => &self.hosts[router + 1],
            At::Wire => self.wire.as_ref().unwrap_or(server),
            At::Server => server,
            At::Other => self.other.as_ref().unwrap_or(server),
        }
    }

    /// Every host sends a datagram to its neighbours, so that every tap is seen to be there.
    pub(crate) fn greet(&self, line: Line) -> Fallible<()> {
        let links = line.links();
        for (number, host) in self.hosts.iter().enumerate() {
            let left = number.checked_sub(1).map(|link| links[link].0);
            let right = links.get(number).map(|link| link.1);
            for neighbour in [left, right].into_iter().flatten() {
                host.run(&format!("bash -c 'echo >/dev/udp/{neighbour}/9' || true"))?;
            }
        }
        Ok(())
    }

    /// Every interface that is captured, in line order.
    pub(crate) fn interfaces(&self) -> Vec<(&Host, &'static str)> {
        let last = self.hosts.len() - 1;
        let of = |(number, host)| {
            let (left, right) = ends(host);
            let (towards_client, towards_server) = ((number > 0).then_some(left), (number < last).then_some(right));
            [towards_client, towards_server].into_iter().flatten().map(move |interface| (host, interface))
        };
        self.hosts.iter().enumerate().flat_map(of).collect()
    }
}

/// Joins two hosts.
fn link((here, left): (&Host, &str), (there, right): (&Host, &str)) -> Fallible<()> {
    let (here, there) = (here.id(), there.id());
    let link = ["link", "add", left, "netns", &here, "type", "veth", "peer", "name", right, "netns", &there];
    output(Command::new("ip").args(link), "").map(drop)
}

const WIRE: &str = include_str!("wire.py");

/// Has a wire carry frames.
fn carry(wire: &Host, what: Wire, mtu: u16) -> Fallible<()> {
    let (old, new) = what.rewrites.unwrap_or_default();
    wire.write("/run/wire.py", WIRE)?;
    wire.run(&format!(
        "sysctl -qw net.ipv6.conf.all.disable_ipv6=1\nfor end in {LEFT} {RIGHT}; do ip link set $end mtu {mtu} up; \
         ethtool -K $end tx off tso off gso off gro off >/dev/null 2>&1 || true; done\n\
         /usr/bin/python3 /run/wire.py {LEFT} {RIGHT} {} '{old}' '{new}' >/run/wire.log 2>&1 &\n\
         for try in $(seq 100); do grep -q ready /run/wire.log && exit 0; sleep .05; done; cat /run/wire.log; exit 1",
        what.delay
    ))
    .map(drop)
}

/// A host's interfaces towards the client and towards the server.
fn ends(host: &Host) -> (&'static str, &'static str) {
    if host.name.starts_with("router") { (LEFT, RIGHT) } else { ("eth0", "eth0") }
}

/// What makes a host part of the line. Times are short, so that what fails fails soon.
fn script(line: Line, number: usize) -> String {
    let links = line.links();
    let is_router = number > 0 && number <= line.routers;
    let (left, right) = if is_router { (LEFT, RIGHT) } else { ("eth0", "eth0") };
    let mut script = format!(
        "sysctl -qw net.ipv4.tcp_syn_retries=2 net.ipv4.ip_forward={0} net.ipv6.conf.all.forwarding={0} \
         net.netfilter.nf_conntrack_acct=1 net.ipv4.tcp_retries2=6 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 \
         net.ipv4.conf.all.rp_filter=0\n",
        u8::from(is_router)
    );
    let mut end = |link: usize, name: &str, address: &str| {
        script += &interface(line, name, address, if link == 1 { line.mtu } else { 1500 });
    };
    if number > 0 {
        end(number - 1, left, links[number - 1].1);
    }
    if number <= line.routers {
        end(number, right, links[number].0);
    }
    script + &routes(line, number)
}

/// What brings an interface up.
fn interface(line: Line, name: &str, address: &str, mtu: u16) -> String {
    let (length, nodad) = if line.v6 { (64, "nodad") } else { (24, "") };
    let offload = if line.offload { "on" } else { "off" };
    format!(
        "ip link set {name} mtu {mtu} up; ip addr add {address}/{length} dev {name} {nodad}\n\
         ethtool -K {name} tx {offload} tso {offload} gso {offload} gro off >/dev/null 2>&1 || true\n"
    )
}

fn routes(line: Line, number: usize) -> String {
    let links = line.links();
    let family = if line.v6 { "-6" } else { "-4" };
    let via = |gateway: &str, to: &str| format!("ip {family} route add {to} via {gateway}\n");
    match (line.routers, number) {
        (0, _) => String::new(),
        (_, 0) => via(links[0].1, "default"),
        (routers, _) if number > routers => via(links[routers].0, "default"),
        (1, _) => match line.plan {
            Plan::Hairpin => format!("ip addr add {HAIRPIN}/32 dev lo\n"),
            _ => String::new(),
        },
        (_, 1) => match line.plan {
            Plan::ServerNat => String::new(),
            _ => via(links[1].1, &network_of(line, links[2].1)),
        },
        (_, _) => match line.plan {
            Plan::ClientNat => String::new(),
            _ => via(links[1].0, &network_of(line, links[0].0)),
        },
    }
}

/// The network of an address.
fn network_of(line: Line, address: &str) -> String {
    let (end, rest) = if line.v6 { (':', ":/64") } else { ('.', ".0/24") };
    let head = address.rsplit_once(end).map_or(address, |(head, _)| head);
    format!("{head}{rest}")
}
