//! Plans where the opening of a connection was lost on the path: let it pass, by the narrowest rule that does.

use super::firewall::{Chain, Pass, Ports, accept, established, helper, helper_nat};
use super::program;
use super::scene::{Flow, On, Scene};
use super::{Commands, Remedy, both};
use crate::language::{Text, say};
use crate::line::{Owner, Side};
use crate::packet::{IcmpError, IcmpKind};
use crate::verdict::{Confidence, Mechanism};

/// The SYN was dropped, or never left: let it pass, let a helper see to it, or open the connection the other way.
pub(super) fn opening(scene: &Scene<'_>) -> Vec<Remedy> {
    let suspects = scene.listener().map(|listener| scene.suspects(Some(listener))).unwrap_or_default();
    open_for(scene, &suspects)
}

/// The SYN was seen on no interface of the client's host: that host comes first.
pub(super) fn own_output(scene: &Scene<'_>) -> Vec<Remedy> {
    open_for(scene, &[On::Host(Side::Client)])
}

fn open_for(scene: &Scene<'_>, suspects: &[On]) -> Vec<Remedy> {
    let alone = suspects.len() == 1;
    let mut remedies: Vec<Remedy> = suspects.iter().filter_map(|&on| open(scene, on, alone)).collect();
    remedies.extend(if alone { pin_for_router(scene, suspects) } else { None });
    let helper_on = if suspects.contains(&On::Router) { Some(On::Router) } else { suspects.first().copied() };
    remedies.extend(helper_on.and_then(|on| with_helper(scene, on, alone)));
    if scene.is_active() && !alone {
        remedies.splice(0..0, program::other_mode(scene, Remedy::new));
    } else {
        remedies.extend(program::other_mode(scene, Remedy::or));
    }
    remedies
}

/// A router can let a narrow range through only if the server keeps to it.
fn pin_for_router(scene: &Scene<'_>, suspects: &[On]) -> Option<Remedy> {
    let passive = scene.flow(On::Router)?.is_passive();
    let on = On::Host(Side::Server);
    let what = say!("pin the passive range, so that the other box has no more to let through than that.");
    (passive && suspects == [On::Router])
        .then(|| Remedy::new(on, what, program::pin_passive_range(scene.passive_range())))
}

/// An ICMP error: a filter's word, or a router's that knows no way on.
pub(super) fn refused(scene: &Scene<'_>) -> Vec<Remedy> {
    let mut remedies = opening(scene);
    let Some(error) = scene.icmp() else { return remedies };
    if is_no_way(error.kind) {
        let way = no_way(scene, error);
        if error.is_to_itself() && !scene.rule_is_known {
            return vec![way];
        }
        remedies.insert(0, way);
    } else if let (Some(first), Some(signature)) = (remedies.first_mut(), signature(error.kind)) {
        first.text = both(first.text.clone(), signature);
    }
    remedies
}

/// The error of a router that knows no route or no host, or of a loop.
fn is_no_way(kind: IcmpKind) -> bool {
    matches!(
        (kind.version, kind.kind, kind.code),
        (4, 3, 0 | 1 | 6 | 7 | 8 | 11 | 12) | (4, 11, _) | (6, 1, 0 | 2 | 3) | (6, 3, _)
    )
}

/// Which tool rejects in these words by itself.
fn signature(kind: IcmpKind) -> Option<Text> {
    match (kind.version, kind.kind, kind.code) {
        (4, 3, 10) => Some(say!(
            "A RHEL-like INPUT or FORWARD chain ends with a REJECT that answers so (icmp-host-prohibited): the rule has to stand before it, and so is inserted (-I), not appended (-A)."
        )),
        (4, 3, 13) | (6, 1, 1) => Some(say!("firewalld rejects so by default: look there first.")),
        (4, 3, 3) | (6, 1, 4) => {
            Some(say!("A plain REJECT of iptables or nftables answers so, and so does ufw's reject."))
        }
        _ => None,
    }
}

fn no_way(scene: &Scene<'_>, error: &IcmpError) -> Remedy {
    let sender = [Side::Client, Side::Server].into_iter().find(|&side| scene.case.has_address(side, error.source));
    let on = sender.filter(|_| error.is_to_itself()).map(On::Host);
    let one_host = || scene.suspects(scene.listener()).first().copied().filter(|_| scene.is_one_host());
    let on = on.or_else(one_host).unwrap_or(On::Router);
    let to = error.quoted.destination.ip;
    let text = match scene.finding.device {
        Some(device) => say!(
            "check the way first: {device}, which sent the error, says that it knows no route to {to} or finds no such host. A rule that rejects in these words is rarer.",
            device,
            to
        ),
        None => say!(
            "check the way first: the box, which sent the error, says that it knows no route to {to} or finds no such host. A rule that rejects in these words is rarer.",
            to
        ),
    };
    let commands = vec![("iproute2", format!("ip route get {to}")), ("iproute2", format!("ip neigh show {to}"))];
    Remedy::new(on, text, commands)
}

/// A RST from the listener's host: see whether anybody listens before any rule is touched.
pub(super) fn reset(scene: &Scene<'_>) -> Vec<Remedy> {
    let mut remedies = opening(scene);
    let Some(listener) = scene.listener().filter(|_| !scene.rule_is_known) else { return remedies };
    remedies.insert(0, program::is_it_open(scene, listener));
    remedies
}

/// A RST that a box between sent in the listener's name.
pub(super) fn forged_reset(scene: &Scene<'_>) -> Vec<Remedy> {
    open_for(scene, &[On::Router])
}

/// The control connection is encrypted, and no more is known.
pub(super) fn encrypted(scene: &Scene<'_>) -> Vec<Remedy> {
    let ports = scene.passive_range();
    let pass = Pass {
        family: scene.family(On::Host(Side::Server)),
        chain: Chain::Input,
        source: None,
        source_port: None,
        destination: None,
        ports,
    };
    let what = both(both(pinned(ports, None), blind()), say!("Firewalls between need the same range."));
    let mut commands = program::pin_passive_range(ports);
    commands.extend(accept(&pass));
    vec![Remedy::new(On::Host(Side::Server), what, commands)]
}

/// Why a fixed range is all that is left.
fn blind() -> Text {
    say!("The control connection is encrypted: no helper can read which single ports to open.")
}

/// "If it is the server's own firewall: open ..." where there are several to suspect.
fn suspected(scene: &Scene<'_>, on: On, alone: bool, what: Text, commands: Commands) -> Remedy {
    if alone {
        return Remedy::new(on, what, commands);
    }
    let text = match (on, scene.finding.device) {
        (On::Host(Side::Client), _) => say!("If it is the client's own firewall: {what}", what),
        (On::Host(Side::Server), _) => say!("If it is the server's own firewall: {what}", what),
        (On::Router, Some(device)) => say!("If it is a router or firewall between ({device}): {what}", device, what),
        (On::Router, None) => say!("If it is a router or firewall between: {what}", what),
    };
    Remedy { on: on.name(), text, commands }
}

/// Lets the SYN pass at this box; on the server of a passive transfer, which ports it will be is for the server to say.
fn open(scene: &Scene<'_>, on: On, alone: bool) -> Option<Remedy> {
    let (pass, flow) = (scene.pass(on)?, scene.flow(on)?);
    let mut what = to_open(scene, on, &pass, flow);
    let mut commands = Commands::new();
    if flow.is_data && scene.is_encrypted() {
        what = both(what, blind());
    }
    if reaches_cloud(scene, on, &pass, flow) {
        what = both(what, say!("In a cloud, the server's security group has to allow the same ports inbound."));
    }
    if pass.chain == Chain::Input && flow.is_passive() {
        commands.extend(program::pin_passive_range(pass.ports));
    }
    commands.extend(accept(&pass));
    if !flow.is_data && on == On::Host(Side::Server) {
        what = both(what, say!("If the client is banned there, lift the ban."));
        commands.push(("fail2ban", format!("fail2ban-client unban {}", flow.source)));
    }
    Some(suspected(scene, on, alone, what, commands))
}

/// A security group stands before the server's host, and so before any tap on it: where the SYN came as far as that tap it
/// has passed, and a device that signed an error is none.
fn reaches_cloud(scene: &Scene<'_>, on: On, pass: &Pass, flow: Flow) -> bool {
    let toward_server = flow.opener == Side::Client && !scene.is_one_host() && scene.finding.device.is_none();
    let said_for_server = scene.owner == Owner::BeyondClient && on == On::Router;
    toward_server && pass.chain != Chain::Output && !said_for_server
}

fn to_open(scene: &Scene<'_>, on: On, pass: &Pass, flow: Flow) -> Text {
    let ports = pass.ports.words();
    let refused = matches!(scene.finding.mechanism, Mechanism::IcmpReject | Mechanism::TcpReset);
    let proved = refused && scene.finding.confidence == Confidence::Certain;
    let active = flow.is_data && !flow.is_passive();
    let destination = flow.destination;
    match (pass.chain, flow.is_passive()) {
        (Chain::Input, true) => pinned(pass.ports, flow.port),
        (Chain::Input, false) if active => say!("let the server's data connections in."),
        (Chain::Input, false) => say!("open {ports}.", ports),
        (Chain::Output, false) if active && proved => say!("let its own data connections out."),
        (Chain::Output, false) if active => {
            say!("let its own data connections out, if its program tried at all (its log tells).")
        }
        (Chain::Output, _) if proved => say!("let its own connections to {ports} out.", ports),
        (Chain::Output, _) => {
            say!("let its own connections to {ports} out, if its program tried at all (its log tells).", ports)
        }
        (Chain::Forward, true) => say!(
            "let connections to the server's passive range ({range} here) through; if it translates the server's address, it has to forward that range as well as port {port}.",
            range = pass.ports.join("-"),
            port = scene.control_port(on)
        ),
        (Chain::Forward, false) if active => {
            say!("let the server's data connections to {destination} through.", destination)
        }
        (Chain::Forward, false) => say!("let connections to {ports} of {destination} through.", ports, destination),
    }
}

fn pinned(range: Ports, failed: Option<u16>) -> Text {
    let range = range.join("-");
    match failed {
        Some(port) => say!(
            "pin the passive range and open exactly that. Port {port} failed. The commands take {range}; if the program has a range already, open that one instead.",
            port,
            range
        ),
        None => say!(
            "pin the passive range and open exactly that. The commands take {range}; if the program has a range already, open that one instead.",
            range
        ),
    }
}

/// Has the box read the negotiation; not where it could not.
fn with_helper(scene: &Scene<'_>, on: On, alone: bool) -> Option<Remedy> {
    let chain = scene.pass(on)?.chain;
    let (family, port) = (scene.family(on), scene.control_port(on));
    if !scene.flow(on)?.is_data || !scene.helper_can_read() {
        return None;
    }
    let what = say!(
        "assign the FTP helper: it reads the control connection and lets pass exactly the data connections agreed upon."
    );
    let commands = match on {
        On::Router => helper_nat(family, port),
        On::Host(_) => {
            let windows = ("Windows", "netsh advfirewall set global StatefulFtp enable".to_owned());
            helper(family, scene.hook(on), chain, port).into_iter().chain([windows]).collect()
        }
    };
    Some(if alone { Remedy::or(on, what, commands) } else { suspected(scene, on, alone, what, commands) })
}

/// The SYN-ACK was dropped.
pub(super) fn answers(scene: &Scene<'_>) -> Vec<Remedy> {
    let Some(listener) = scene.listener() else { return Vec::new() };
    if let Some(error) = scene.icmp().filter(|error| error.is_to_itself() && is_no_way(error.kind))
        && !scene.rule_is_known
    {
        return vec![no_way(scene, error)];
    }
    let suspects = scene.suspects(Some(!listener));
    let what = say!("accept what belongs to an established connection; the answer was dropped, not the SYN.");
    let mut remedies = let_established(scene, &suspects, Some(listener), &what);
    if suspects.contains(&On::Router) {
        remedies.push(both_ways(scene));
    }
    remedies
}

/// Lets what belongs to a connection pass at these boxes; it comes from `sender`, if that is known.
pub(super) fn let_established(scene: &Scene<'_>, suspects: &[On], sender: Option<Side>, what: &Text) -> Vec<Remedy> {
    let alone = suspects.len() == 1;
    let on_each = suspects.iter().map(|&on| {
        let chain = match on {
            On::Router => Chain::Forward,
            On::Host(side) if sender == Some(side) => Chain::Output,
            On::Host(_) => Chain::Input,
        };
        suspected(scene, on, alone, what.clone(), established(scene.family(on), chain))
    });
    on_each.collect()
}

/// A stateful box that sees only one direction of a connection drops it.
fn both_ways(scene: &Scene<'_>) -> Remedy {
    let [client, server] = [Side::Client, Side::Server].map(|side| scene.address(On::Router, side));
    let text = say!(
        "check that both directions take the same way: a stateful firewall that sees only one of them, or strict reverse path filtering, drops the answers."
    );
    let commands = vec![
        ("iproute2", format!("ip route get {client}")),
        ("iproute2", format!("ip route get {server}")),
        ("kernel", "sysctl net.ipv4.conf.all.rp_filter".to_owned()),
    ];
    Remedy::new(On::Router, text, commands)
}
