//! Acts in the words of each tool.
//!
//! The chains that the commands name are those that exist by default: iptables' own, and for nftables a table `inet filter`
//! with chains `input`, `forward` and `output`, as `/etc/nftables.conf` of Debian has it.

use std::net::IpAddr;

use crate::packet::Endpoint;
use crate::verdict::remedy::Remedy;

/// An end of a connection in a rule; no port means any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) ip: IpAddr,
    pub(super) port: Option<u16>,
}

impl Peer {
    pub(super) fn at(endpoint: Endpoint) -> Peer {
        Peer { ip: endpoint.ip, port: Some(endpoint.port) }
    }

    pub(super) fn any_port(ip: IpAddr) -> Peer {
        Peer { ip, port: None }
    }
}

/// A connection to be let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) from: Peer,
    pub(super) to: Peer,
}

impl Flow {
    fn iptables(self) -> &'static str {
        if self.to.ip.is_ipv6() { "ip6tables" } else { "iptables" }
    }

    fn family(self) -> &'static str {
        if self.to.ip.is_ipv6() { "ip6" } else { "ip" }
    }

    fn matches_iptables(self) -> String {
        let port = |name: &str, port: Option<u16>| port.map(|port| format!(" --{name} {port}")).unwrap_or_default();
        format!(
            "-p tcp -s {} -d {}{}{}",
            self.from.ip,
            self.to.ip,
            port("sport", self.from.port),
            port("dport", self.to.port)
        )
    }

    fn matches_nft(self) -> String {
        let port = |name: &str, port: Option<u16>| port.map(|port| format!(" tcp {name} {port}")).unwrap_or_default();
        let (family, from, to) = (self.family(), self.from, self.to);
        format!(
            "{family} saddr {} {family} daddr {}{}{}",
            from.ip,
            to.ip,
            port("sport", from.port),
            port("dport", to.port)
        )
    }

    /// The listener's port in a tool's words; nothing if it is another one every time.
    fn port(self, word: &str) -> String {
        self.to.port.map(|port| format!(" {word}{port}")).unwrap_or_default()
    }
}

fn remedy(on: &'static str, text: impl Into<String>, commands: Vec<(&'static str, String)>) -> Remedy {
    Remedy { on, text: text.into(), commands }
}

/// How a rule of Windows' firewall begins.
const WINDOWS_RULE: &str = "netsh advfirewall firewall add rule name=\"FTP\"";

/// Lets a connection in on its listener's host.
pub(super) fn inbound(on: &'static str, flow: Flow) -> Remedy {
    let (from, family) = (flow.from.ip, if flow.to.ip.is_ipv6() { "ipv6" } else { "ipv4" });
    let (what, rich, ufw, windows) = match (flow.from.port, flow.to.port) {
        (Some(port), _) => (
            format!("connections from {from} port {port}"),
            format!(" source-port port={port} protocol=tcp"),
            format!(" port {port} to any"),
            format!(" remoteport={port}"),
        ),
        (None, Some(port)) => (
            format!("connections to port {port}"),
            format!(" port port={port} protocol=tcp"),
            format!(" to any port {port}"),
            format!(" localport={port}"),
        ),
        (None, None) => {
            (format!("connections from {from}"), " protocol value=tcp".to_owned(), " to any".to_owned(), String::new())
        }
    };
    let rich = format!("rule family={family} source address={from}{rich} accept");
    remedy(
        on,
        format!("On the {on}, let {what} in, before any rule that drops or rejects."),
        vec![
            ("iptables", format!("{} -I INPUT {} -j ACCEPT", flow.iptables(), flow.matches_iptables())),
            ("nftables", format!("nft insert rule inet filter input {} accept", flow.matches_nft())),
            ("firewalld", format!("firewall-cmd --permanent --add-rich-rule='{rich}' && firewall-cmd --reload")),
            ("ufw", format!("ufw allow proto tcp from {from}{ufw}")),
            ("Windows", format!("{WINDOWS_RULE} dir=in action=allow protocol=TCP remoteip={from}{windows}")),
        ],
    )
}

/// Windows can follow clear-text sessions by itself.
pub(super) fn with_stateful_ftp(mut remedy: Remedy) -> Remedy {
    remedy.commands.push(("", "or: netsh advfirewall set global StatefulFtp enable".to_owned()));
    remedy
}

/// Lets a connection out on its opener's host, and the answer back in.
pub(super) fn outbound(on: &'static str, flow: Flow) -> Remedy {
    let text = format!("On the {on}, let connections to {} out, and answers back in.", flow.to.ip);
    let to = flow.to.ip;
    remedy(
        on,
        text,
        vec![
            ("iptables", format!("{} -I OUTPUT {} -j ACCEPT", flow.iptables(), flow.matches_iptables())),
            ("", format!("{} -I INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", flow.iptables())),
            ("nftables", format!("nft insert rule inet filter output {} accept", flow.matches_nft())),
            ("", "nft insert rule inet filter input ct state established,related accept".to_owned()),
            ("ufw", format!("ufw allow out proto tcp to {to}{}", flow.port("port "))),
            (
                "Windows",
                format!("{WINDOWS_RULE} dir=out action=allow protocol=TCP remoteip={to}{}", flow.port("remoteport=")),
            ),
        ],
    )
}

/// Lets a connection and its answers through a router.
pub(super) fn forward(flow: Flow) -> Remedy {
    let port = flow.port("port ");
    let text = format!("On the routers and firewalls between, let connections to {}{port} through.", flow.to.ip);
    remedy(
        "router",
        text,
        vec![
            ("iptables", format!("{} -I FORWARD {} -j ACCEPT", flow.iptables(), flow.matches_iptables())),
            ("", format!("{} -I FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", flow.iptables())),
            ("nftables", format!("nft insert rule inet filter forward {} accept", flow.matches_nft())),
            ("", "nft insert rule inet filter forward ct state established,related accept".to_owned()),
            ("cloud", format!("allow inbound TCP{port} in the security group of {}", flow.to.ip)),
        ],
    )
}

/// Gives a Linux router its FTP helper, which opens the way for each data connection by itself.
pub(super) fn helper(control_port: u16, nat: bool) -> Remedy {
    let text =
        "On a Linux router, assign the FTP helper, which reads the negotiations, and accept related connections.";
    let module = if nat { "nf_nat_ftp" } else { "nf_conntrack_ftp" };
    remedy(
        "router",
        text,
        vec![
            ("modules", format!("modprobe {module}")),
            ("iptables", format!("iptables -t raw -I PREROUTING -p tcp --dport {control_port} -j CT --helper ftp")),
            ("", "iptables -I FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT".to_owned()),
            ("nftables", "nft add table inet ftphelper".to_owned()),
            ("", "nft 'add ct helper inet ftphelper ftp { type \"ftp\" protocol tcp; }'".to_owned()),
            ("", "nft 'add chain inet ftphelper prerouting { type filter hook prerouting priority 0; }'".to_owned()),
            ("", format!("nft add rule inet ftphelper prerouting tcp dport {control_port} ct helper set ftp")),
            ("firewalld", "firewall-cmd --permanent --add-service=ftp && firewall-cmd --reload".to_owned()),
        ],
    )
}

/// Ports of a passive range that is as good as any.
const RANGE: (u16, u16) = (50_000, 50_100);

/// Gives the server a fixed passive range that a firewall can open.
pub(super) fn pin_range() -> Remedy {
    let (low, high) = RANGE;
    let text = "On the server, fix the passive range, and open that range in its firewall and in those before it.";
    remedy(
        "server",
        text,
        vec![
            ("vsftpd", format!("pasv_min_port={low}, pasv_max_port={high}")),
            ("proftpd", format!("PassivePorts {low} {high}")),
            ("pure-ftpd", format!("PassivePortRange {low} {high}   (or: -p {low}:{high})")),
            ("IIS", format!("FTP Firewall Support, Data Channel Port Range {low}-{high}; restart-service ftpsvc")),
            ("iptables", format!("iptables -I INPUT -p tcp --dport {low}:{high} -j ACCEPT")),
            ("nftables", format!("nft insert rule inet filter input tcp dport {low}-{high} accept")),
            ("firewalld", format!("firewall-cmd --permanent --add-port={low}-{high}/tcp && firewall-cmd --reload")),
            ("ufw", format!("ufw allow {low}:{high}/tcp")),
            (
                "Windows",
                format!(
                    "netsh advfirewall firewall add rule name=\"FTP passive\" dir=in action=allow protocol=TCP localport={low}-{high}"
                ),
            ),
        ],
    )
}

/// What is left where nobody can read the negotiations.
pub(super) fn open_fixed_range() -> Remedy {
    let text = "With TLS no helper can open the way: fix the server's passive range and open that range on every firewall between.";
    Remedy { text: text.to_owned(), ..pin_range() }
}

/// Makes the server announce the address at which clients reach it.
pub(super) fn announce() -> Remedy {
    let text = "On the server, announce the address at which clients reach it.";
    remedy(
        "server",
        text,
        vec![
            ("vsftpd", "pasv_address=PUBLIC-ADDRESS".to_owned()),
            ("proftpd", "MasqueradeAddress PUBLIC-ADDRESS".to_owned()),
            ("pure-ftpd", "ForcePassiveIP PUBLIC-ADDRESS   (or: -P PUBLIC-ADDRESS)".to_owned()),
            ("IIS", "FTP Firewall Support, External IP Address of Firewall; restart-service ftpsvc".to_owned()),
            (
                "container",
                "publish the range as it is (-p 50000-50100:50000-50100) and set the public address".to_owned(),
            ),
        ],
    )
}

pub(super) fn announce_inside() -> Remedy {
    let text = "Let clients inside use a name that leads to the inner address, and let the server announce that to them; or let the router turn such connections round.";
    remedy(
        "server",
        text,
        vec![("vsftpd", "a second instance with listen_address=INNER-ADDRESS and no pasv_address".to_owned())],
    )
}

pub(super) fn no_alg() -> Remedy {
    remedy(
        "router",
        "Switch the FTP inspection (ALG) of the box between the two taps off, or keep the session from it with TLS.",
        Vec::new(),
    )
}

/// Keeps full-size segments from being sent where they do not fit.
pub(super) fn clamp_mss(v6: bool) -> Remedy {
    let (iptables, error) =
        if v6 { ("ip6tables", "ICMPv6 packet too big") } else { ("iptables", "ICMP fragmentation needed") };
    let text = format!("On the router before the narrow link, clamp the MSS, and let {error} through everywhere.");
    let let_through = match v6 {
        false => "iptables -I FORWARD -p icmp --icmp-type fragmentation-needed -j ACCEPT",
        true => "ip6tables -I FORWARD -p ipv6-icmp --icmpv6-type packet-too-big -j ACCEPT",
    };
    remedy(
        "router",
        text,
        vec![
            (
                "iptables",
                format!("{iptables} -t mangle -I FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"),
            ),
            ("", let_through.to_owned()),
            (
                "nftables",
                "nft insert rule inet filter forward tcp flags syn tcp option maxseg size set rt mtu".to_owned(),
            ),
        ],
    )
}

pub(super) fn keep_alive() -> Remedy {
    let text = "Keep the control connection busy while data runs, or let the box that forgets it wait longer than the longest transfer.";
    remedy(
        "client",
        text,
        vec![
            ("lftp", "set net:idle 0; set ftp:use-tcp-keepalive yes".to_owned()),
            ("curl", "--keepalive-time 30".to_owned()),
            ("Linux", "sysctl -w net.ipv4.tcp_keepalive_time=60   (programs that set SO_KEEPALIVE)".to_owned()),
            ("router", "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=86400".to_owned()),
        ],
    )
}

/// Takes the helper away from a session that it breaks.
pub(super) fn no_helper() -> Remedy {
    let text = "Take the FTP helper off this session and open a fixed passive range instead; or make the program write the negotiation in one segment and in the usual form.";
    remedy(
        "router",
        text,
        vec![
            ("iptables", "iptables -t raw -S | grep helper   (find the rule, then -D it)".to_owned()),
            (
                "nftables",
                "nft -a list ruleset | grep 'ct helper set'   (find the rule, then delete it by its handle)".to_owned(),
            ),
        ],
    )
}

pub(super) fn find_limit() -> Remedy {
    let text = "Look on the boxes of that stretch for rules about established connections: byte or time limits, intrusion prevention, a full connection table.";
    remedy(
        "router",
        text,
        vec![
            ("counters", "iptables-save -c | grep -v '\\[0:0\\]'; nft list ruleset | grep counter".to_owned()),
            ("conntrack", "conntrack -S; dmesg | grep 'table full'".to_owned()),
        ],
    )
}

pub(super) fn listener(on: &'static str, port: u16) -> Remedy {
    let text = format!(
        "On the {on}, see whether anybody listens on port {port} while the transfer is tried; only if so a rule is at fault."
    );
    remedy(
        on,
        text,
        vec![("Linux", format!("ss -ltn 'sport = :{port}'")), ("Windows", format!("netstat -an | findstr :{port}"))],
    )
}

pub(super) fn tls_reuse() -> Remedy {
    let text = "Let the client resume the control connection's TLS session for data, or let the server do without.";
    remedy(
        "server",
        text,
        vec![
            ("vsftpd", "require_ssl_reuse=NO".to_owned()),
            ("proftpd", "TLSOptions NoSessionReuseRequired".to_owned()),
        ],
    )
}

pub(super) fn keep_source() -> Remedy {
    let text = "Let both connections of a client come from one address: source affinity on the load balancer, one address for the NAT.";
    remedy(
        "router",
        text,
        vec![(
            "vsftpd",
            "pasv_promiscuous=YES   (lets anybody take the data connection: only if nothing else helps)".to_owned(),
        )],
    )
}

pub(super) fn look_at_server() -> Remedy {
    let text = "On the server, see why the program says nothing: its log, its limits, its name look-ups.";
    remedy(
        "server",
        text,
        vec![
            ("vsftpd", "reverse_lookup_enable=NO".to_owned()),
            ("proftpd", "UseReverseDNS off".to_owned()),
            ("Linux", "ss -ltn 'sport = :21'   (Recv-Q above zero: the program does not accept)".to_owned()),
        ],
    )
}
