//! Plans where an open connection lost segments, fell silent or was reset.

use super::firewall::{fit_path_mtu, heed_path_mtu};
use super::path::let_established;
use super::program;
use super::scene::{On, Scene};
use super::{Remedy, both};
use crate::language::say;
use crate::line::Side;
use crate::session::view::HelperDrop;
use crate::verdict::Mechanism;
use crate::verdict::transfer::{is_forged, is_forgotten, sender};

/// Segments of an open connection were dropped.
pub(super) fn segments(scene: &Scene<'_>) -> Vec<Remedy> {
    let what = say!(
        "accept what belongs to an established connection, and look for what ends it in the middle: an inspection, a quota, a state that timed out."
    );
    let mut remedies = let_established(scene, &scene.suspects(None), None, &what);
    if let Some(router) = remedies.iter_mut().find(|remedy| remedy.on == On::Router.name()) {
        let strict =
            say!("A strict check of sequence numbers takes segments for invalid where window scaling was altered.");
        router.text = both(router.text.clone(), strict);
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
            say!("look into its program: it has stopped reading what came."),
            Vec::new(),
        )];
    }
    let sender = sender(scene.case).unwrap_or(Side::Server);
    let text = say!(
        "look whether its program still sends: its log, and the unsent and unacknowledged bytes of its connection."
    );
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
        say!(
            "if it stands before a narrow link (a tunnel, PPPoE), clamp the segment size to what fits, and let the ICMP errors pass that tell of it."
        ),
        fit_path_mtu(scene.family(On::Router)),
    );
    let on = On::Host(sender(scene.case).unwrap_or(Side::Server));
    let text = say!("let these ICMP errors in, and have it find out by itself what passes.");
    vec![router, Remedy::or(on, text, heed_path_mtu(scene.family(on)))]
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
        say!(
            "keep the control connection busy during long transfers: NOOP, or TCP keepalive more often than the box on the way forgets."
        ),
        vec![
            ("curl", "curl --keepalive-time 30".to_owned()),
            ("lftp", "set ftp:nop-interval 30".to_owned()),
            keepalive.clone(),
        ],
    );
    let server = Remedy::or(
        On::Host(Side::Server),
        say!("send TCP keepalives, if the program asks for them (vsftpd does)."),
        vec![keepalive],
    );
    let router = Remedy::or(
        On::Router,
        say!(
            "let the box keep established connections for longer; on a load balancer or NAT of a cloud that is its idle timeout."
        ),
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
        ("firewalld", "firewall-cmd --list-all".to_owned()),
    ];
    let router = Remedy::new(
        On::Router,
        say!(
            "take the FTP helper off this control connection (a rule with CT --helper ftp or ct helper set), and open the server's passive range instead."
        ),
        find,
    );
    let (on, text) = match drop.toward {
        Side::Client => (
            On::Host(Side::Server),
            say!(
                "have the program write 227 and 229 as the RFCs do: \"227 Entering Passive Mode (h1,h2,h3,h4,p1,p2).\", no other digits before, all in one segment."
            ),
        ),
        Side::Server => (
            On::Host(Side::Client),
            say!(
                "have the program send PORT and EPRT as one segment that ends with CR LF, one blank and no more in between; or use passive mode."
            ),
        ),
    };
    vec![router, Remedy::or(on, text, Vec::new())]
}

/// The data connection was reset.
pub(super) fn interrupted(scene: &Scene<'_>) -> Vec<Remedy> {
    match scene.attempt() {
        Some(joined) if is_forged(scene.case, joined) => vec![inspection()],
        attempt => {
            let is_forgotten = attempt.is_some_and(|joined| is_forgotten(scene.case, joined));
            let remedy = |on| match on {
                On::Router => is_forgotten.then(inspection),
                On::Host(_) => program::own_log(on),
            };
            scene.suspects(None).into_iter().filter_map(remedy).collect()
        }
    }
}

fn inspection() -> Remedy {
    Remedy::new(
        On::Router,
        say!(
            "look for what sent the reset: an FTP inspection set to strict, an intrusion prevention, a rule that rejects with tcp-reset; exempt this server."
        ),
        Vec::new(),
    )
}
