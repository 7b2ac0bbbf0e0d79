//! What to do about a verdict: the text, and the exact commands with the session's own ports and addresses.
//!
//! [`remedies`] goes from the rule and the side to acts, the likeliest first; `tools` writes an act in the words of each
//! tool. Everything that stands in a command is a parsed address or port, never text from the wire.

mod tools;

use crate::line::{Owner, Side};
use crate::packet::Endpoint;
use crate::tcp::connection::Connection;
use crate::verdict::case::Case;
use crate::verdict::{Finding, Mechanism, Rule};
use tools::{Flow, Peer};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// On which host: client, server or router.
    pub on: &'static str,
    /// What, in one sentence.
    pub text: String,
    /// Commands or settings, each with the tool that it belongs to.
    pub commands: Vec<(&'static str, String)>,
}

/// More than this nobody reads.
const MOST: usize = 4;

/// What to do about a finding, the likeliest first.
pub(super) fn remedies(case: &Case<'_>, rule: &Rule, finding: &Finding, owner: Owner) -> Vec<Remedy> {
    let mut acts = match rule.id {
        "C1" | "C2" | "C3" | "C4" | "C5" | "C6" => control_opening(case, owner),
        "O1" | "O2" | "O4" | "O5" | "O6" | "O7" => data_opening(case, owner),
        "O3" => [vec![look_for_listener(case)], data_opening(case, owner)].concat(),
        "N1" => vec![switch(Side::Server), tools::helper(case.view().server.port, true)],
        "N2" => vec![tools::announce(), tools::helper(case.view().server.port, true)],
        "N3" => vec![tools::announce_inside()],
        "N4" => vec![tools::no_alg()],
        "T2" => vec![tools::clamp_mss(is_v6(case))],
        "T1" | "T3" | "T8" => vec![tools::find_limit()],
        "T4" => vec![tools::tls_reuse()],
        "T5" => vec![tools::keep_source()],
        "C7" | "C10" if finding.mechanism == Mechanism::IdleExpiry => vec![tools::keep_alive()],
        "C7" if case.views().any(|(_, view)| !view.helper_drops.is_empty()) => vec![tools::no_helper()],
        "C7" | "C10" | "C14" => vec![tools::find_limit()],
        "C11" => vec![tools::look_at_server()],
        "V8" => vec![tools::open_fixed_range()],
        _ => Vec::new(),
    };
    acts.truncate(MOST);
    acts
}

fn is_v6(case: &Case<'_>) -> bool {
    case.view().server.ip.is_ipv6()
}

fn control_opening(case: &Case<'_>, owner: Owner) -> Vec<Remedy> {
    let view = case.view();
    let to_server = Flow { from: Peer::any_port(view.client.ip), to: Peer::at(view.server) };
    sides(owner)
        .into_iter()
        .map(|part| match part {
            Part::Client => tools::outbound("client", to_server),
            Part::Path => tools::forward(to_server),
            Part::Server => tools::inbound("server", to_server),
        })
        .collect()
}

/// A part of the line that an owner may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Client,
    Path,
    Server,
}

/// The parts that a side covers, hosts before the path: their firewalls are the usual cause.
fn sides(owner: Owner) -> Vec<Part> {
    match owner {
        Owner::Client => vec![Part::Client],
        Owner::Network => vec![Part::Path],
        Owner::Server => vec![Part::Server],
        Owner::BeyondClient => vec![Part::Server, Part::Path],
        Owner::BeyondServer => vec![Part::Client, Part::Path],
        Owner::Unknown => vec![Part::Server, Part::Client, Part::Path],
        Owner::None => Vec::new(),
    }
}

fn data_opening(case: &Case<'_>, owner: Owner) -> Vec<Remedy> {
    let Some((listens, flow)) = data_flow(case) else { return Vec::new() };
    let encrypted = case.view().encrypted.is_some();
    let mut acts: Vec<Remedy> = sides(owner).into_iter().flat_map(|part| data_act(case, part, listens, flow)).collect();
    if listens == Side::Client && !encrypted {
        acts.push(switch(Side::Server));
    }
    acts
}

fn data_act(case: &Case<'_>, part: Part, listens: Side, flow: Flow) -> Vec<Remedy> {
    let encrypted = case.view().encrypted.is_some();
    let port = case.view().server.port;
    match (part, listens) {
        (Part::Client, Side::Client) if !encrypted => vec![tools::with_stateful_ftp(tools::inbound("client", flow))],
        (Part::Client, Side::Client) => vec![tools::inbound("client", flow)],
        (Part::Client, Side::Server) => vec![tools::outbound("client", flow)],
        (Part::Server, Side::Client) => vec![tools::outbound("server", flow)],
        (Part::Server, Side::Server) => vec![tools::inbound("server", flow), tools::pin_range()],
        (Part::Path, _) if encrypted => vec![tools::forward(flow), tools::open_fixed_range()],
        (Part::Path, _) => vec![tools::helper(port, false), tools::forward(flow)],
    }
}

/// Who listens, and from where to where the data connection goes: as it was seen, else as it was agreed upon.
fn data_flow(case: &Case<'_>) -> Option<(Side, Flow)> {
    let attempts = case.attempts();
    let seen: Option<&Connection> =
        attempts.last().and_then(|joined| case.connections(Some(joined)).first().map(|(_, connection)| *connection));
    if let (Some(connection), Some(joined)) = (seen, attempts.last()) {
        let listens = case.listens(Some(joined));
        return Some((listens, flow(listens, connection.opener, connection.listener)));
    }
    let negotiation = case.negotiation()?;
    let listens = negotiation.mode.listener();
    let view = case.view();
    let (opener, listener) = match listens {
        Side::Server => (view.client.ip, view.server.ip),
        Side::Client => (view.server.ip, view.client.ip),
    };
    let offered = negotiation.offered?;
    let listener = Endpoint { ip: offered.address.unwrap_or(listener), port: offered.port };
    Some((listens, flow(listens, Endpoint { ip: opener, port: 0 }, listener)))
}

/// What stays the same from one transfer to the next: in active mode the server's port 20 if it uses that, never the
/// client's; in passive mode the listener's, which is of the server's range.
fn flow(listens: Side, opener: Endpoint, listener: Endpoint) -> Flow {
    match (listens, opener.port) {
        (Side::Server, _) => Flow { from: Peer::any_port(opener.ip), to: Peer::at(listener) },
        (Side::Client, 20) => Flow { from: Peer::at(opener), to: Peer::any_port(listener.ip) },
        (Side::Client, _) => Flow { from: Peer::any_port(opener.ip), to: Peer::any_port(listener.ip) },
    }
}

/// The other mode moves the problem to the other side, where it may be none.
fn switch(listener: Side) -> Remedy {
    let (mode, whose) = match listener {
        Side::Server => ("passive", "the server must then open its passive range"),
        Side::Client => ("active", "the client must then let the server's connections in"),
    };
    Remedy { on: "client", text: format!("Or use {mode} mode ({whose})."), commands: Vec::new() }
}

fn look_for_listener(case: &Case<'_>) -> Remedy {
    let attempts = case.attempts();
    let seen = attempts.last().and_then(|joined| case.connections(Some(joined)).first().map(|(_, c)| c.listener.port));
    let on = match data_flow(case) {
        Some((Side::Client, _)) => "client",
        Some((Side::Server, _)) | None => "server",
    };
    tools::listener(on, seen.unwrap_or(case.view().server.port))
}
