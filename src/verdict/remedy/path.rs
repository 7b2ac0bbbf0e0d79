//! Plans where a packet was lost on the path: let it pass, by the narrowest rule that does.

use super::firewall::{Chain, accept, established, fit_path_mtu, heed_path_mtu, helper, helper_nat};
use super::program;
use super::scene::{On, Scene};
use super::{Commands, Remedy};
use crate::line::Side;
use crate::packet::IcmpKind;
use crate::session::view::HelperDrop;
use crate::verdict::Mechanism;
use crate::verdict::transfer::{is_forged, sender};

/// The SYN was dropped, or never left: let it pass, let a helper see to it, or open the connection the other way.
pub(super) fn opening(scene: &Scene<'_>) -> Vec<Remedy> {
    let suspects = scene.listener().map(|listener| scene.suspects(Some(listener))).unwrap_or_default();
    open_for(scene, &suspects)
}

fn open_for(scene: &Scene<'_>, suspects: &[On]) -> Vec<Remedy> {
    let alone = suspects.len() == 1;
    let mut remedies: Vec<Remedy> = suspects.iter().filter_map(|&on| open(scene, on, alone)).collect();
    let helper_on = if suspects.contains(&On::Router) { Some(On::Router) } else { suspects.first().copied() };
    remedies.extend(helper_on.and_then(|on| with_helper(scene, on, alone)));
    let other_mode = program::other_mode(scene);
    if scene.is_active() && !alone {
        remedies.splice(0..0, other_mode);
    } else {
        remedies.extend(other_mode);
    }
    remedies
}

/// An ICMP error: a filter's word, or a router's that knows no way on.
pub(super) fn refused(scene: &Scene<'_>) -> Vec<Remedy> {
    let mut remedies = opening(scene);
    let Some(error) = scene.icmp() else { return remedies };
    match rejection(error.kind) {
        Rejection::NoWay => remedies.insert(0, no_way(scene)),
        Rejection::By(tool, words) => {
            if let Some(first) = remedies.iter_mut().find(|remedy| !remedy.commands.is_empty()) {
                first.text = format!("{} {words}", first.text);
                first.commands.sort_by_key(|(other, _)| *other != tool);
            }
        }
        Rejection::BySome => {}
    }
    remedies
}

/// What an ICMP error tells of its sender.
enum Rejection {
    /// It knows no route, or no host.
    NoWay,
    /// This tool rejects so by itself.
    By(&'static str, &'static str),
    /// Some filter.
    BySome,
}

fn rejection(kind: IcmpKind) -> Rejection {
    match (kind.version, kind.kind, kind.code) {
        (4, 3, 0 | 1 | 6 | 7 | 8 | 11 | 12) | (6, 1, 0 | 2 | 3) | (4, 11, _) | (6, 3, _) => Rejection::NoWay,
        (4, 3, 10) => Rejection::By(
            "iptables",
            "The error is that of the REJECT which ends a RHEL-like INPUT or FORWARD chain (icmp-host-prohibited): the rule has \
             to stand before it, so it is inserted (-I) and not appended (-A).",
        ),
        (4, 3, 13) | (6, 1, 1) => Rejection::By("firewalld", "firewalld rejects so by default: look there first."),
        (4, 3, 3) | (6, 1, 4) => Rejection::By("iptables", "A plain REJECT answers so, and so does ufw's reject."),
        _ => Rejection::BySome,
    }
}

fn no_way(scene: &Scene<'_>) -> Remedy {
    let on = if scene.is_one_host() { scene.suspects(scene.listener()).first().copied() } else { None };
    let on = on.unwrap_or(On::Router);
    let to = scene.flow(on).map_or(scene.address(on, Side::Server), |flow| flow.destination);
    let text = format!(
        "Check the way first: {}, which sent the error, says that it knows no route to {to} or finds no such host. \
         A rule that rejects in these words is rarer.",
        scene.finding.device.map_or("the box".to_owned(), |device| device.to_string())
    );
    let commands = vec![("iproute2", format!("ip route get {to}")), ("iproute2", format!("ip neigh show {to}"))];
    Remedy::new(on, text, commands)
}

/// A RST from the listener's host: see whether anybody listens before any rule is touched.
pub(super) fn reset(scene: &Scene<'_>) -> Vec<Remedy> {
    let mut remedies = opening(scene);
    let Some(listener) = scene.listener() else { return remedies };
    remedies.insert(0, program::is_it_open(scene, listener));
    remedies
}

/// A RST that a box between sent in the listener's name.
pub(super) fn forged_reset(scene: &Scene<'_>) -> Vec<Remedy> {
    open_for(scene, &[On::Router])
}

/// The control connection is encrypted, and no more is known.
pub(super) fn encrypted(scene: &Scene<'_>) -> Vec<Remedy> {
    open(scene, On::Host(Side::Server), true).into_iter().collect()
}

/// "If it is the server's own firewall: open ..." where there are several to suspect, else the bare sentence.
fn sentence(scene: &Scene<'_>, on: On, alone: bool, what: &str) -> String {
    if alone {
        let mut letters = what.chars();
        return letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    }
    let whose = match on {
        On::Host(Side::Client) => "the client's own firewall",
        On::Host(Side::Server) => "the server's own firewall",
        On::Router => "a router or firewall between",
    };
    let device = scene.finding.device.filter(|_| on == On::Router).map(|ip| format!(" ({ip})")).unwrap_or_default();
    format!("If it is {whose}{device}: {what}")
}

/// Lets the SYN pass at this box; on the server of a passive transfer, which ports it will be is for the server to say.
fn open(scene: &Scene<'_>, on: On, alone: bool) -> Option<Remedy> {
    let (pass, flow) = (scene.pass(on)?, scene.flow(on)?);
    let range = pass.ports.join("-");
    let passive = flow.is_data && flow.opener == Side::Client;
    let mut what = match (pass.chain, passive) {
        (Chain::Input, true) => pinned(&range, flow.port),
        (Chain::Input, false) if flow.is_data => "let the server's data connections in.".to_owned(),
        (Chain::Input, false) => format!("open port {range}."),
        (Chain::Output, _) => {
            format!("let its own connections to port {range} out, if its program tried at all (its log tells).")
        }
        (Chain::Forward, true) => format!(
            "let connections to the server's passive range ({range} here) through; if it translates the server's address, \
             it has to forward that range as well as port {}.",
            scene.control_port(on)
        ),
        (Chain::Forward, false) => format!("let connections to port {range} of {} through.", flow.destination),
    };
    if flow.is_data && scene.is_encrypted() {
        what += " The control connection is encrypted, so that no helper can open single ports.";
    }
    if pass.chain == Chain::Input && on == On::Host(Side::Server) && !scene.is_one_host() {
        what += " In a cloud, the security group has to allow the same ports inbound.";
    }
    let mut commands = Commands::new();
    if pass.chain == Chain::Input && passive {
        commands.extend(program::pin_passive_range(pass.ports));
    }
    commands.extend(accept(&pass));
    if !flow.is_data && on == On::Host(Side::Server) {
        what += " If the client is banned there, lift the ban.";
        commands.push(("fail2ban", format!("fail2ban-client unban {}", flow.source)));
    }
    Some(Remedy::new(on, sentence(scene, on, alone, &what), commands))
}

fn pinned(range: &str, failed: Option<u16>) -> String {
    let known = failed.map(|port| format!(" Port {port} failed.")).unwrap_or_default();
    format!(
        "pin the server's passive range and open exactly that.{known} The commands take {range}; if the server has a range \
         already, open that one instead."
    )
}

/// Has the box read the negotiation; not where it could not.
fn with_helper(scene: &Scene<'_>, on: On, alone: bool) -> Option<Remedy> {
    let chain = scene.pass(on)?.chain;
    let (family, port) = (scene.family(on), scene.control_port(on));
    if !scene.flow(on)?.is_data || !scene.helper_can_read() {
        return None;
    }
    let (text, commands) = match on {
        On::Router => (
            "assign the FTP helper: it reads the control connection and lets in exactly the data connections agreed upon, \
             address translation included.",
            helper_nat(family, port),
        ),
        On::Host(_) => {
            let mut commands = helper(family, scene.hook(on), chain, port);
            commands.push(("Windows", "netsh advfirewall set global StatefulFtp enable".to_owned()));
            (
                "or assign the FTP helper: it reads the control connection and lets exactly the data connections agreed upon pass.",
                commands,
            )
        }
    };
    Some(Remedy::new(on, sentence(scene, on, alone, text), commands))
}

/// The SYN-ACK was dropped.
pub(super) fn answers(scene: &Scene<'_>) -> Vec<Remedy> {
    let Some(listener) = scene.listener() else { return Vec::new() };
    let suspects = scene.suspects(Some(!listener));
    let what = "accept what belongs to an established connection; the answer was dropped, not the SYN.";
    let mut remedies = let_established(scene, &suspects, what);
    if suspects.contains(&On::Router) {
        remedies.push(both_ways(scene));
    }
    remedies
}

fn let_established(scene: &Scene<'_>, suspects: &[On], what: &str) -> Vec<Remedy> {
    let alone = suspects.len() == 1;
    let on_each = suspects.iter().map(|&on| {
        let chain = if on == On::Router { Chain::Forward } else { Chain::Input };
        Remedy::new(on, sentence(scene, on, alone, what), established(scene.family(on), chain))
    });
    on_each.collect()
}

/// A stateful box that sees only one direction of a connection drops it.
fn both_ways(scene: &Scene<'_>) -> Remedy {
    let [client, server] = [Side::Client, Side::Server].map(|side| scene.address(On::Router, side));
    let text = "Check that both directions take the same way: a stateful firewall that sees only one of them, or strict \
                reverse path filtering, drops the answers.";
    let commands = vec![
        ("iproute2", format!("ip route get {client}")),
        ("iproute2", format!("ip route get {server}")),
        ("kernel", "sysctl net.ipv4.conf.all.rp_filter".to_owned()),
    ];
    Remedy::new(On::Router, text, commands)
}

/// Segments of an open connection were dropped.
pub(super) fn segments(scene: &Scene<'_>) -> Vec<Remedy> {
    let what = "accept what belongs to an established connection, and look for what ends it in the middle: an inspection, a \
                quota, a state that timed out.";
    let mut remedies = let_established(scene, &scene.suspects(None), what);
    if let Some(router) = remedies.iter_mut().find(|remedy| remedy.on == On::Router.name()) {
        router.text +=
            " A strict check of sequence numbers takes segments for invalid where window scaling was altered.";
        router.commands.push(("kernel", "sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1".to_owned()));
    }
    remedies
}

/// The data stopped coming: the sender's program, or the path.
pub(super) fn silence(scene: &Scene<'_>) -> Vec<Remedy> {
    if scene.finding.stretch.is_none() {
        let reader = sender(scene.case).map_or(Side::Client, |side| !side);
        return vec![Remedy::new(
            On::Host(reader),
            "Look into its program: it has stopped reading what came.",
            Vec::new(),
        )];
    }
    let sender = sender(scene.case).unwrap_or(Side::Server);
    let text =
        "Look whether its program still sends: its log, and the unsent and unacknowledged bytes of its connection.";
    let peer = scene.address(On::Host(sender), !sender);
    let look = vec![("iproute2", format!("ss -tnoi dst [{peer}]"))];
    let mut remedies = vec![Remedy::new(On::Host(sender), text, look)];
    remedies.extend(segments(scene));
    remedies
}

/// Full-size segments vanish.
pub(super) fn path_mtu(scene: &Scene<'_>) -> Vec<Remedy> {
    let router = Remedy::new(
        On::Router,
        "On the router before the narrow link (a tunnel, PPPoE), clamp the segment size to what fits, and let the ICMP errors \
         pass that tell of it.",
        fit_path_mtu(scene.family(On::Router)),
    );
    let on = On::Host(sender(scene.case).unwrap_or(Side::Server));
    let text = "Let these ICMP errors in, or have the sender find out by itself what passes.";
    vec![router, Remedy::new(on, text, heed_path_mtu(scene.family(on)))]
}

/// Segments of the control connection were lost: forgotten by a box, dropped by a helper, reset, or dropped like any.
pub(super) fn control_lost(scene: &Scene<'_>) -> Vec<Remedy> {
    let dropped = scene.case.views().find_map(|(_, view)| view.helper_drops.first());
    match (scene.finding.mechanism, dropped) {
        (Mechanism::IdleExpiry, _) => forgotten(scene),
        (_, Some(drop)) => without_helper(scene, drop),
        (Mechanism::Interrupted, None) => vec![inspection()],
        (
            Mechanism::SilentDrop
            | Mechanism::IcmpReject
            | Mechanism::TcpReset
            | Mechanism::NeverSent
            | Mechanism::UnreachableAddress
            | Mechanism::RefusedByServer
            | Mechanism::Stalled
            | Mechanism::PathMtu
            | Mechanism::Encrypted
            | Mechanism::IncompleteCapture,
            None,
        ) => segments(scene),
    }
}

/// The idle control connection was forgotten while data ran.
fn forgotten(scene: &Scene<'_>) -> Vec<Remedy> {
    let keepalive = ("kernel", "sysctl -w net.ipv4.tcp_keepalive_time=60".to_owned());
    let client = Remedy::new(
        On::Host(Side::Client),
        "Keep the control connection busy during long transfers: NOOP, or TCP keepalive more often than the box on the way \
         forgets.",
        vec![
            ("curl", "curl --keepalive-time 30".to_owned()),
            ("lftp", "set ftp:nop-interval 30".to_owned()),
            keepalive.clone(),
        ],
    );
    let server = Remedy::new(
        On::Host(Side::Server),
        "Have the server send TCP keepalives, if its program asks for them (vsftpd does).",
        vec![keepalive],
    );
    let router = Remedy::new(
        On::Router,
        "Let the box keep established connections for longer; on a load balancer or NAT of a cloud that is its idle timeout.",
        vec![("kernel", "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=432000".to_owned())],
    );
    let mut remedies = vec![client, server, router];
    if scene.is_one_host() {
        remedies.retain(|remedy| remedy.on != On::Router.name());
    }
    remedies
}

/// A Linux helper drops what it cannot read.
fn without_helper(scene: &Scene<'_>, drop: &HelperDrop) -> Vec<Remedy> {
    let find = vec![
        ("iptables", format!("{} -t raw -S", scene.family(On::Router).iptables())),
        ("nftables", "nft list ruleset".to_owned()),
        ("firewalld", "firewall-cmd --permanent --remove-service=ftp".to_owned()),
    ];
    let router = Remedy::new(
        On::Router,
        "Take the FTP helper off this control connection (a rule with CT --helper ftp or ct helper set), and open the server's \
         passive range instead.",
        find,
    );
    let (on, text) = match drop.toward {
        Side::Client => (
            On::Host(Side::Server),
            "Have the server write 227 and 229 as the RFCs do: \"227 Entering Passive Mode (h1,h2,h3,h4,p1,p2).\", no other digits \
             before, all in one segment.",
        ),
        Side::Server => (
            On::Host(Side::Client),
            "Have the client send PORT and EPRT as one segment that ends with CR LF, one blank and no more in between; or use \
             passive mode.",
        ),
    };
    vec![router, Remedy::new(on, text, Vec::new())]
}

/// The data connection was reset.
pub(super) fn interrupted(scene: &Scene<'_>) -> Vec<Remedy> {
    match scene.attempt() {
        Some(joined) if is_forged(scene.case, joined) => vec![inspection()],
        _ => scene.suspects(None).into_iter().filter_map(program::own_log).collect(),
    }
}

fn inspection() -> Remedy {
    Remedy::new(
        On::Router,
        "Look at the box that sent the reset: an FTP inspection set to strict, an intrusion prevention, a rule that rejects with \
         tcp-reset; exempt this server.",
        Vec::new(),
    )
}
