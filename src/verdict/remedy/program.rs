//! Plans for the programs at the ends: settings of FTP servers and clients, and how to capture again.
//!
//! Read vsftpd.conf(5), proftpd's mod_core and mod_tls, pure-ftpd(8), IIS's `system.ftpServer/firewallSupport`, curl(1)
//! and lftp(1) first.

use std::net::IpAddr;

use super::firewall::Ports;
use super::scene::{On, Scene};
use super::{Commands, Remedy, both};
use crate::language::{Text, say};
use crate::line::Side;
use crate::session::view::{EventKind, Mode};

const CLIENT: On = On::Host(Side::Client);
const SERVER: On = On::Host(Side::Server);

/// Rows of tool and fixed text.
fn fixed(rows: &[(&'static str, &str)]) -> Commands {
    rows.iter().map(|(tool, text)| (*tool, (*text).to_owned())).collect()
}

/// Has the server listen for data connections in this range only.
pub(super) fn pin_passive_range(range: Ports) -> Commands {
    let Ports { low, high } = range;
    vec![
        ("vsftpd", format!("pasv_min_port={low}")),
        ("vsftpd", format!("pasv_max_port={high}")),
        ("proftpd", format!("PassivePorts {low} {high}")),
        ("pure-ftpd", format!("PassivePortRange {low} {high}")),
        (
            "IIS",
            format!(
                "appcmd set config -section:system.ftpServer/firewallSupport /lowDataChannelPort:{low} \
                 /highDataChannelPort:{high} /commit:apphost"
            ),
        ),
        ("IIS", "Restart-Service ftpsvc".to_owned()),
    ]
}

/// Has the server announce this address in 227.
pub(super) fn announce(ip: IpAddr) -> Commands {
    vec![
        ("vsftpd", format!("pasv_address={ip}")),
        ("proftpd", format!("MasqueradeAddress {ip}")),
        ("pure-ftpd", format!("ForcePassiveIP {ip}")),
        (
            "IIS",
            format!(
                "appcmd set config -section:system.applicationHost/sites \
                 /siteDefaults.ftpServer.firewallSupport.externalIp4Address:{ip} /commit:apphost"
            ),
        ),
    ]
}

/// A way to say what to do: [`Remedy::new`] or [`Remedy::or`].
type Say = fn(On, Text, Commands) -> Remedy;

/// The other mode, where it has a chance: never active mode for a client that the server cannot reach.
pub(super) fn other_mode(scene: &Scene<'_>, say: Say) -> Option<Remedy> {
    let flow = scene.flow(CLIENT).filter(|flow| flow.is_data)?;
    match flow.opener {
        Side::Server => Some(say(
            CLIENT,
            say!(
                "use passive mode: the client opens the data connections too. The server's passive range has to be open then."
            ),
            fixed(&[("curl", "curl --ftp-pasv"), ("lftp", "set ftp:passive-mode true")]),
        )),
        Side::Client if scene.is_client_hidden() => None,
        Side::Client => Some(say(
            CLIENT,
            say!(
                "use active mode: the server opens the data connections. The client's firewall has to let them in then."
            ),
            fixed(&[("curl", "curl --ftp-port -"), ("lftp", "set ftp:passive-mode false")]),
        )),
    }
}

/// Whether the port that answered with RST is open at all.
pub(super) fn is_it_open(scene: &Scene<'_>, listener: Side) -> Remedy {
    let on = On::Host(listener);
    let flow = scene.flow(on);
    let port = flow.and_then(|flow| flow.port).unwrap_or_else(|| scene.control_port(on));
    let is_data = flow.is_some_and(|flow| flow.is_data);
    let mut text = match is_data {
        true => say!(
            "see first whether a program listens on port {port} while a transfer waits: a closed port answers just so. If one does, a rule rejects with tcp-reset.",
            port
        ),
        false => say!(
            "see first whether a program listens on port {port}: a closed port answers just so. If one does, a rule rejects with tcp-reset.",
            port
        ),
    };
    let mut commands = vec![
        ("iproute2", format!("ss -ltnp 'sport = :{port}'")),
        ("Windows", format!("netstat -ano | findstr :{port}")),
    ];
    if is_data && listener == Side::Server {
        let range = Ports::around(port).join("-");
        text = both(text, say!("In a container, the passive range has to be published."));
        commands.push(("docker", format!("docker run -p {range}:{range}")));
    }
    Remedy::new(on, text, commands)
}

/// A host's own program ended something, and says why in its log; routers have no say.
pub(super) fn own_log(on: On) -> Option<Remedy> {
    (on != On::Router)
        .then(|| Remedy::new(on, say!("read the program's log: it, or the host itself, gave up."), Vec::new()))
}

/// The server gave up by itself.
pub(super) fn server_log(_: &Scene<'_>) -> Vec<Remedy> {
    own_log(SERVER).into_iter().collect()
}

/// The session was over before the transfer was asked for.
pub(super) fn already_over(_: &Scene<'_>) -> Vec<Remedy> {
    let client = say!("log in again before the next transfer: the session was over.");
    let server = say!("let idle sessions live longer.");
    let timers = fixed(&[
        ("vsftpd", "idle_session_timeout=1800"),
        ("proftpd", "TimeoutIdle 1800"),
        ("pure-ftpd", "MaxIdleTime 30"),
    ]);
    vec![Remedy::new(CLIENT, client, Vec::new()), Remedy::or(SERVER, server, timers)]
}

/// Two servers exchange a file, which most refuse (RFC 2577 section 3).
pub(super) fn between_servers(_: &Scene<'_>) -> Vec<Remedy> {
    let text = say!(
        "and on the other server, see whether the programs allow transfers between servers, which many refuse for good reason; and capture there, since the data do not pass the client."
    );
    let settings = fixed(&[
        ("vsftpd", "port_promiscuous=YES"),
        ("vsftpd", "pasv_promiscuous=YES"),
        ("proftpd", "AllowForeignAddress on"),
        ("pure-ftpd", "AllowUserFXP yes"),
    ]);
    vec![Remedy::new(SERVER, text, settings)]
}

/// The server accepts and says nothing.
pub(super) fn silent_server(_: &Scene<'_>) -> Vec<Remedy> {
    let text = say!(
        "see what the program waits for before it speaks: a name look-up of the client's address, TCP wrappers, a limit; and whether the program behind a proxy or load balancer is up."
    );
    let settings = fixed(&[
        ("proftpd", "UseReverseDNS off"),
        ("pure-ftpd", "DontResolve yes"),
        ("TCP wrappers", "grep -i ftpd /etc/hosts.allow /etc/hosts.deny"),
    ]);
    vec![Remedy::new(SERVER, text, settings)]
}

/// The program does not accept connections, or not fast enough.
pub(super) fn accepts_nothing(scene: &Scene<'_>) -> Vec<Remedy> {
    let port = scene.control_port(SERVER);
    let text = say!(
        "see why the program on port {port} accepts no connection: it hangs, is stopped, or too many come at once for its queue; restart it, or let more wait.",
        port
    );
    let commands = vec![
        ("iproute2", format!("ss -ltnp 'sport = :{port}'")),
        ("iproute2", "nstat -az TcpExtListenOverflows TcpExtListenDrops".to_owned()),
        ("kernel", "sysctl net.core.somaxconn".to_owned()),
    ];
    vec![Remedy::new(SERVER, text, commands)]
}

/// Something else than FTP answers.
pub(super) fn other_protocol(scene: &Scene<'_>) -> Vec<Remedy> {
    let port = scene.control_port(CLIENT);
    let text = say!("check address and port: what answers on port {port} is no FTP server.", port);
    vec![Remedy::new(CLIENT, text, Vec::new())]
}

/// 421 is for want of room, 530 and its like for want of rights.
pub(super) fn turned_away(scene: &Scene<'_>) -> Vec<Remedy> {
    let full = scene.case.view().log.iter().any(|event| event.kind == EventKind::Reply(421));
    if !full {
        let text =
            say!("check user name, password, and whether the server insists on TLS: it refused the login itself.");
        return vec![Remedy::new(CLIENT, text, Vec::new())];
    }
    let limits = fixed(&[
        ("vsftpd", "max_clients=0"),
        ("vsftpd", "max_per_ip=0"),
        ("proftpd", "MaxClients none"),
        ("proftpd", "MaxClientsPerHost none"),
        ("pure-ftpd", "MaxClientsNumber 200"),
        ("pure-ftpd", "MaxClientsPerIP 50"),
    ]);
    let parallel = fixed(&[("lftp", "set net:connection-limit 2")]);
    vec![
        Remedy::new(CLIENT, say!("use fewer connections at a time: the server says that it has no room."), parallel),
        Remedy::or(SERVER, say!("raise the limits on clients, in all and by address."), limits),
    ]
}

/// PORT, PASV and their like were refused, for no address.
pub(super) fn negotiation_refused(scene: &Scene<'_>) -> Vec<Remedy> {
    let Some(negotiation) = scene.case.negotiation() else { return Vec::new() };
    match negotiation.mode {
        Mode::Port | Mode::Lprt => {
            let low = negotiation.offered.is_some_and(|offered| offered.port < Ports::UNPRIVILEGED.low);
            let text = say!("offer ports from 1024 on: servers refuse lower ones.");
            let range = Remedy::or(CLIENT, text, fixed(&[("lftp", "set ftp:port-range 50000-50099")]));
            let allowed = fixed(&[("vsftpd", "port_enable=YES")]);
            let server = Remedy::or(SERVER, say!("see whether the program allows active mode."), allowed);
            other_mode(scene, Remedy::new).into_iter().chain([if low { range } else { server }]).collect()
        }
        Mode::Pasv | Mode::Lpsv => {
            let text = say!("see whether the program allows passive mode, and whether its passive range is exhausted.");
            let server = Remedy::new(SERVER, text, fixed(&[("vsftpd", "pasv_enable=YES")]));
            [server].into_iter().chain(other_mode(scene, Remedy::or)).collect()
        }
        Mode::Eprt | Mode::Epsv => {
            let text = say!(
                "use PORT and PASV, over IPv4: the server, or what stands before it, lacks the extended commands."
            );
            let commands =
                fixed(&[("curl", "curl --ipv4 --disable-epsv --disable-eprt"), ("lftp", "set ftp:prefer-epsv false")]);
            vec![Remedy::new(CLIENT, text, commands)]
        }
    }
}

/// The data connection's TLS session has to be the control connection's.
pub(super) fn tls_resumption(_: &Scene<'_>) -> Vec<Remedy> {
    let client = say!("use a program that resumes the control connection's TLS session for the data connection.");
    let server = say!("do not insist on it, which lets strangers take over data connections.");
    let settings = fixed(&[("vsftpd", "require_ssl_reuse=NO"), ("proftpd", "TLSOptions NoSessionReuseRequired")]);
    vec![Remedy::new(CLIENT, client, Vec::new()), Remedy::or(SERVER, server, settings)]
}

/// The data connection comes from another address than the control connection.
pub(super) fn foreign_source(_: &Scene<'_>) -> Vec<Remedy> {
    let router = say!(
        "send both connections of a client from the same address: source affinity on a NAT, proxy or load balancer, or the client's own address kept."
    );
    let server = say!("accept data connections from any address, which lets strangers take them over.");
    let settings = fixed(&[("vsftpd", "pasv_promiscuous=YES"), ("proftpd", "AllowForeignAddress on")]);
    vec![Remedy::new(On::Router, router, Vec::new()), Remedy::or(SERVER, server, settings)]
}

/// The server refused the transfer itself: what to check depends on the code (RFC 959 section 4.2).
pub(super) fn refusal(scene: &Scene<'_>) -> Vec<Remedy> {
    let (on, text, commands) = match scene.case.code() {
        425 if scene.case.negotiation().is_none_or(|negotiation| !negotiation.stands()) => {
            (CLIENT, say!("agree on a data connection (PASV or PORT) before each transfer."), Vec::new())
        }
        425 => (
            SERVER,
            say!(
                "see why the program cannot open its own end: its port 20 still in use by an earlier connection, or rights that it lacks."
            ),
            fixed(&[("vsftpd", "connect_from_port_20=NO"), ("iproute2", "ss -tan 'sport = :20'")]),
        ),
        452 | 552 => (SERVER, say!("make room: disk or quota is full."), fixed(&[("shell", "df -h")])),
        500..=504 => (CLIENT, say!("use a command that this server knows."), Vec::new()),
        521 | 522 | 533 | 534 | 536 => (
            CLIENT,
            say!("use the protection of data connections that the server asks for (PROT P with TLS, or none)."),
            Vec::new(),
        ),
        530 | 532 => (CLIENT, say!("log in with an account that may do this."), Vec::new()),
        _ => (SERVER, say!("check path, rights and locks of the file, in the server's log."), Vec::new()),
    };
    vec![Remedy::new(on, text, commands)]
}

/// The server ended a transfer under way.
pub(super) fn ended(scene: &Scene<'_>) -> Vec<Remedy> {
    if scene.case.code() == 451 {
        let text = say!(
            "read the program's log: something local stopped it (RFC 959 section 4.2 on 451), such as a full disk or quota."
        );
        return vec![Remedy::new(SERVER, text, fixed(&[("shell", "df -h")]))];
    }
    let text =
        say!("read the program's log: it gave the transfer up. Its timers for data connections may be too short.");
    let timers = fixed(&[
        ("vsftpd", "data_connection_timeout=1800"),
        ("proftpd", "TimeoutStalled 7200"),
        ("pure-ftpd", "MaxIdleTime 30"),
    ]);
    vec![Remedy::new(SERVER, text, timers)]
}

/// A capture that goes on to the end.
pub(super) fn capture_longer(scene: &Scene<'_>) -> Vec<Remedy> {
    vec![capture(scene, say!("Capture again, and go on until the client has given up (two minutes and more)."))]
}

/// A capture that lacks nothing.
pub(super) fn capture_all(scene: &Scene<'_>) -> Vec<Remedy> {
    let text = say!(
        "Capture again, on the client and on the server if you can: both directions, all ports, whole packets, with a large buffer, from before the login on."
    );
    vec![capture(scene, text)]
}

fn capture(scene: &Scene<'_>, text: Text) -> Remedy {
    let view = scene.case.view();
    let (client, server) = (view.client.ip, view.server.ip);
    let command = format!(
        "tcpdump -i any -s 0 -B 65536 --immediate-mode -w ftp.pcap 'host {client} or host {server} or icmp or icmp6'"
    );
    Remedy { on: "capture", text, commands: vec![("tcpdump", command)] }
}
