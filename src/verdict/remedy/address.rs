//! Plans where an announced address cannot be reached: announce another, ignore it, or have a NAT rewrite it.

use std::net::IpAddr;

use super::firewall::{Ports, hairpin as turn_round, helper_nat};
use super::program;
use super::scene::{On, Scene};
use super::{Commands, Remedy};
use crate::language::say;
use crate::line::Side;
use crate::verdict::negotiation::is_public;

/// The client announces an address that the server cannot reach.
pub(super) fn client_behind_nat(scene: &Scene<'_>) -> Vec<Remedy> {
    let outside = scene.address(On::Host(Side::Server), Side::Client);
    let mut remedies: Vec<Remedy> = program::other_mode(scene, Remedy::new).into_iter().collect();
    remedies.extend(rewrite(scene));
    remedies.extend(by_hand(scene, outside));
    remedies
}

/// Only where a tap saw the outer address can it be named; lftp knows the IPv4 one only.
fn by_hand(scene: &Scene<'_>, outside: IpAddr) -> Option<Remedy> {
    let announced = scene.case.negotiation()?.offered?.address?;
    let range = Ports::EXAMPLE.join("-");
    let settings =
        vec![("lftp", format!("set ftp:port-ipv4 {outside}")), ("lftp", format!("set ftp:port-range {range}"))];
    let text = say!("announce {outside}, and have the router forward the client's active ports.", outside);
    (outside.is_ipv4() && outside != announced).then(|| Remedy::or(On::Host(Side::Client), text, settings))
}

/// Has the translating router rewrite what is announced.
fn rewrite(scene: &Scene<'_>) -> Option<Remedy> {
    let (family, port) = (scene.family(On::Router), scene.control_port(On::Router));
    let text = say!(
        "assign the FTP helper where the address is translated: it rewrites the address in the text. Then neither end may announce the outer address itself."
    );
    (!scene.is_encrypted()).then(|| Remedy::or(On::Router, text, helper_nat(family, port)))
}

/// The server announces an address that the client cannot reach.
pub(super) fn server_behind_nat(scene: &Scene<'_>) -> Vec<Remedy> {
    let [reached, client] = [Side::Server, Side::Client].map(|side| scene.address(On::Host(Side::Client), side));
    let range = scene.passive_range();
    let announced = scene.case.negotiation().and_then(|negotiation| negotiation.offered?.address);
    let hidden = announced.filter(|ip| is_public(*ip) && is_public(client) && !is_public(reached));
    let mut settings = program::announce(hidden.unwrap_or(reached));
    settings.extend(program::pin_passive_range(range));
    let range = range.join("-");
    let text = match hidden {
        Some(announced) => say!(
            "make sure that clients reach it at {announced}, and have the router before the server forward the passive range ({range} here) too. In a container, publish that range.",
            announced,
            range
        ),
        None => say!(
            "announce {reached}, the address at which the client reaches it, and have the router before the server forward the passive range ({range} here) too. In a container, publish that range.",
            reached,
            range
        ),
    };
    let mut remedies = vec![Remedy::new(On::Host(Side::Server), text, settings)];
    remedies.push(ignore_address());
    remedies.extend(rewrite(scene));
    remedies
}

fn ignore_address() -> Remedy {
    let commands: Commands = vec![
        ("curl", "curl --ftp-skip-pasv-ip".to_owned()),
        ("lftp", "set ftp:fix-pasv-address true".to_owned()),
        ("lftp", "set ftp:prefer-epsv true".to_owned()),
    ];
    let text = say!("use the address of the control connection, or EPSV, which announces none.");
    Remedy::or(On::Host(Side::Client), text, commands)
}

/// The server announces its public address to a client inside.
pub(super) fn hairpin(scene: &Scene<'_>) -> Vec<Remedy> {
    let inside = scene.address(On::Host(Side::Client), Side::Server);
    let client = scene.address(On::Host(Side::Client), Side::Client);
    let text =
        say!("announce {inside} to clients inside: a second instance or virtual host for the inner address.", inside);
    let mut remedies = vec![Remedy::new(On::Host(Side::Server), text, program::announce(inside)), ignore_address()];
    let announced = scene.case.negotiation().and_then(|negotiation| negotiation.offered?.address);
    remedies
        .extend(announced.filter(|ip| ip.is_ipv4() == inside.is_ipv4()).map(|ip| turned(scene, ip, client, inside)));
    remedies
}

fn turned(scene: &Scene<'_>, public: IpAddr, client: IpAddr, inside: IpAddr) -> Remedy {
    let text = say!("turn packets for {public} from inside round to {inside} (NAT loopback).", public, inside);
    Remedy::or(On::Router, text, turn_round(public, client, inside, scene.passive_range()))
}

/// A box between rewrites the negotiation wrongly.
pub(super) fn rewritten(scene: &Scene<'_>) -> Vec<Remedy> {
    let find: Commands = vec![
        ("iptables", format!("{} -t raw -S", scene.family(On::Router).iptables())),
        ("nftables", "nft list ruleset".to_owned()),
    ];
    let off = say!("switch the FTP helper (ALG, inspection) off, and open the server's passive range there.");
    let hide = say!("hide the negotiation from the box between: FTPS, or a control port other than 21.");
    vec![Remedy::new(On::Router, off, find), Remedy::or(On::Host(Side::Server), hide, Vec::new())]
}
