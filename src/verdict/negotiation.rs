//! N: what the ends agreed upon, and what a NAT or a program made of it.
//!
//! Read RFC 2663 section 8 (why a NAT must rewrite PORT and 227) first. An address that is foreign at one tap and not at
//! another was made foreign between the two.

use std::net::IpAddr;

use crate::cite::At;
use crate::ftp::host_port::{Scope, scope};
use crate::language::say;
use crate::line::{Owner, Point, Side, Stretch};
use crate::session::view::{Mode, Negotiation, Transfer};
use crate::tcp::connection::{Connection, Opening};
use crate::verdict::case::{Case, end};
use crate::verdict::passage::Transit;
use crate::verdict::transfer::refused;
use crate::verdict::{Confidence, Evidence, Finding, Lost, Mechanism};

/// The address that a tap read in the negotiation, and the listener's address on the control connection there.
struct Offer {
    sight: usize,
    /// Where it was read.
    at: At,
    announced: IpAddr,
    peer: IpAddr,
}

impl Offer {
    fn is_foreign(&self) -> bool {
        self.announced != self.peer
    }
}

/// What every tap read in the transfer's negotiation, in line order; taps whose text gives no address (229) say nothing.
fn offers(case: &Case<'_>) -> Vec<Offer> {
    offers_of(case, |transfer| transfer.negotiation.as_ref())
}

fn offers_of(case: &Case<'_>, pick: impl Fn(&Transfer) -> Option<&Negotiation>) -> Vec<Offer> {
    let Some(transfer) = case.transfer else { return Vec::new() };
    let sights = 0..case.session.sights.len();
    sights
        .filter_map(|sight| {
            let negotiation = pick(case.session.transfer(sight, transfer)?)?;
            let announced = negotiation.offered?.address?;
            let listener = negotiation.mode.listener();
            let index = if listener == Side::Server { negotiation.reply? } else { negotiation.command };
            let at = case.session.view(sight)?.event(index)?.at;
            Some(Offer { sight, at, announced, peer: case.address(sight, listener)? })
        })
        .collect()
}

/// The data connection went to the announced address, or was seen nowhere, and did not come up.
fn went_to_announced(case: &Case<'_>, offers: &[Offer]) -> bool {
    let attempts = case.attempts();
    let Some(joined) = attempts.last() else { return true };
    let listener = |sight: usize| case.session.attempt(sight, joined).map(|attempt| attempt.connection.listener.ip);
    let mut foreign = offers.iter().filter(|offer| offer.is_foreign());
    case.opening(Some(joined)) != Opening::Established
        && foreign.any(|offer| listener(offer.sight) == Some(offer.announced))
}

/// Where no tap saw the data connection, the address may be at fault, or the connection went elsewhere and was lost: many
/// clients ignore a foreign address. The stretch then covers both.
fn or_lost(case: &Case<'_>, stretch: Stretch, listener: Side) -> Stretch {
    if !case.attempts().is_empty() {
        return stretch;
    }
    let since = case.due().map_or(case.view().began.time, |due| due.time);
    stretch.hull(case.passage(Transit { toward: listener, since, data: true }, |_| false).stretch())
}

/// What is in line order, in the order in which the listener's words pass the taps.
fn from_listener<T>(in_line: &[T], listener: Side) -> Vec<&T> {
    if listener == Side::Server { in_line.iter().rev().collect() } else { in_line.iter().collect() }
}

/// The stretch in which an address became foreign. It travels from the listener: nearer to the listener than the first
/// tap that reads it as foreign, and beyond the last that does not.
fn made_foreign(offers: &[Offer], listener: Side) -> Stretch {
    let from_listener = from_listener(offers, listener);
    let first_foreign = from_listener.iter().position(|offer| offer.is_foreign());
    let sound = first_foreign
        .and_then(|at| at.checked_sub(1))
        .or(first_foreign.is_none().then(|| from_listener.len().wrapping_sub(1)));
    let last_sound = sound.and_then(|at| from_listener.get(at)).map(|offer| offer.sight);
    let first_foreign = first_foreign.map(|at| from_listener[at].sight);
    Stretch::beyond(!listener, last_sound, first_foreign)
}

fn finding(stretch: Stretch, confidence: Confidence, evidence: Vec<Evidence>) -> Finding {
    Finding {
        stretch: Some(stretch),
        owner: None,
        device: None,
        mechanism: Mechanism::UnreachableAddress,
        lost: Some(Lost::DataSyn),
        confidence,
        evidence,
        passes_rules: false,
        notes: Vec::new(),
    }
}

fn evidence(case: &Case<'_>, offers: &[Offer], listener: Side) -> Vec<Evidence> {
    let mut evidence = case.negotiation_evidence();
    evidence.extend(case.transfer_evidence());
    for offer in from_listener(offers, listener) {
        let (who, address, peer) = (end(listener), offer.announced, offer.peer);
        let text = match offer.is_foreign() {
            true => say!(
                "the {who} offers {address} here; that is not the address of its control connection ({peer})",
                who,
                address,
                peer
            ),
            false => say!(
                "the {who} offers {address} here; that is the address of its control connection ({peer})",
                who,
                address,
                peer
            ),
        };
        evidence.push(case.seen(offer.sight, offer.at, text));
    }
    evidence
}

/// N1: the client's PORT or EPRT carries an address that the server does not see it at. Where every way was refused, the
/// first refusal for its address counts: clients go on to try commands that the server does not know.
pub(super) fn client_behind_nat(case: &Case<'_>) -> Option<Finding> {
    let transfer = case.transfer().filter(|_| !case.is_between_servers())?;
    let all_refused = transfer.negotiation.as_ref().is_some_and(|negotiation| !negotiation.stands());
    let earlier = if all_refused { transfer.superseded.len() } else { 0 };
    let latest = behind_nat(case, |transfer| transfer.negotiation.as_ref());
    (0..earlier).find_map(|nth| behind_nat(case, |transfer| transfer.superseded.get(nth))).or(latest)
}

fn behind_nat(case: &Case<'_>, pick: impl Fn(&Transfer) -> Option<&Negotiation>) -> Option<Finding> {
    let negotiation = pick(case.transfer()?).filter(|negotiation| negotiation.mode.listener() == Side::Client)?;
    let offers = offers_of(case, &pick);
    let foreign = offers.iter().any(Offer::is_foreign);
    let refused = !negotiation.stands() && case.attempts().is_empty();
    let by_text = refused && !foreign && speaks_of_address(case, negotiation) && !is_low(negotiation);
    let by_address = foreign && (refused || went_to_announced(case, &offers));
    if !(by_text || by_address) {
        return None;
    }
    let made = made_foreign(&offers, Side::Client);
    let stretch = if refused { made } else { or_lost(case, made, Side::Client) };
    let confidence = if by_text { Confidence::Possible } else { case.confidence(stretch) };
    let mut found = finding(stretch, confidence.min(Confidence::Likely), evidence(case, &offers, Side::Client));
    let refusal = [Some(negotiation.command), negotiation.reply];
    let refusal = refusal.into_iter().filter_map(|index| case.quoted(index));
    let untold: Vec<_> = refusal.filter(|words| !found.evidence.contains(words)).collect();
    found.evidence.splice(0..0, untold);
    found.notes.push(say!("the NAT on the way has no FTP helper, or the client is set to announce a wrong address"));
    Some(found)
}

/// N2: the server's 227 carries an address that the client does not reach it at. Whether the server is set up wrongly or a
/// NAT before it lacks a helper, packets cannot tell; the stretch always reaches to the server.
pub(super) fn server_behind_nat(case: &Case<'_>) -> Option<Finding> {
    let offers = foreign_passive(case)?;
    if is_hairpin(case, &offers) {
        return None;
    }
    let seen = !case.attempts().is_empty();
    let made = Stretch { to: Point::Server, ..made_foreign(&offers, Side::Server) };
    let stretch = or_lost(case, made, Side::Server);
    let confidence = case.confidence(stretch).min(if seen { Confidence::Likely } else { Confidence::Possible });
    let mut found = finding(stretch, confidence, evidence(case, &offers, Side::Server));
    found.owner = seen.then_some(Owner::Server);
    if !seen {
        found.notes.push(say!(
            "no connection to that address was seen: some clients refuse it, others use the control connection's"
        ));
    }
    Some(with_icmp(case, found))
}

/// Public addresses announced to a client inside, which reaches the server at a private one.
fn is_hairpin(case: &Case<'_>, offers: &[Offer]) -> bool {
    let inside = |offer: &Offer| case.address(offer.sight, Side::Client).is_some_and(|client| !is_public(client));
    offers.iter().all(|offer| is_public(offer.announced) && !is_public(offer.peer) && inside(offer))
}

/// Documentation addresses (RFC 5737, 3849) stand for public ones.
pub(super) fn is_public(ip: IpAddr) -> bool {
    matches!(scope(ip), Scope::Public | Scope::Documentation)
}

/// N3: the server's 227 carries its public address to a client inside.
pub(super) fn hairpin(case: &Case<'_>) -> Option<Finding> {
    let offers = foreign_passive(case).filter(|offers| is_hairpin(case, offers))?;
    let stretch = or_lost(case, made_foreign(&offers, Side::Server), Side::Server);
    Some(with_icmp(case, finding(stretch, Confidence::Possible, evidence(case, &offers, Side::Server))))
}

fn with_icmp(case: &Case<'_>, mut found: Finding) -> Finding {
    let attempts = case.attempts();
    let Some(joined) = attempts.last() else { return found };
    for (sight, connection) in case.connections(Some(joined)) {
        if let Some(syn) = connection.syn {
            let Connection { opener, listener, .. } = connection;
            found.evidence.push(case.seen(sight, syn.first, say!("SYN {opener} > {listener}", opener, listener)));
        }
        if let Some(error) = connection.icmp.as_deref() {
            found.device.get_or_insert(error.source);
            found.evidence.push(case.seen(
                sight,
                error.at,
                say!("ICMP {kind} from {source}", kind = error.kind, source = error.source),
            ));
        }
    }
    found
}

fn foreign_passive(case: &Case<'_>) -> Option<Vec<Offer>> {
    case.negotiation().filter(|negotiation| negotiation.mode.listener() == Side::Server && negotiation.stands())?;
    let offers = offers(case);
    let foreign = offers.iter().any(Offer::is_foreign) && went_to_announced(case, &offers);
    let unreachable = case.attempts().is_empty() && offers.iter().any(|offer| is_private_to_public(case, offer));
    (foreign || unreachable).then_some(offers)
}

/// A private address is announced to a peer with a public one, which cannot reach it.
fn is_private_to_public(case: &Case<'_>, offer: &Offer) -> bool {
    let private = matches!(scope(offer.announced), Scope::Private | Scope::Shared | Scope::LinkLocal | Scope::Loopback);
    private && case.address(offer.sight, Side::Client).is_some_and(is_public)
}

/// N4: two taps read different listeners, though the addresses of the control connection are the same at both.
pub(super) fn rewritten(case: &Case<'_>) -> Option<Finding> {
    let transfer = case.transfer?;
    let ports: Vec<(usize, u16, At)> = (0..case.session.sights.len())
        .filter_map(|sight| {
            let negotiation = case.session.transfer(sight, transfer)?.negotiation.as_ref()?;
            let by_reply = negotiation.mode.listener() == Side::Server;
            let offer = if by_reply { negotiation.reply? } else { negotiation.command };
            Some((sight, negotiation.offered?.port, case.session.view(sight)?.event(offer)?.at))
        })
        .collect();
    let superseded = |(sight, _, _): (usize, u16, At), port| {
        let superseded = case.session.transfer(sight, transfer).into_iter().flat_map(|transfer| &transfer.superseded);
        superseded.filter_map(|negotiation| negotiation.offered).any(|offered| offered.port == port)
    };
    // A capture may end before, or begin behind, the one that counts.
    let differ = |pair: &&[(usize, u16, At)]| {
        let (one, other) = (pair[0], pair[1]);
        one.1 != other.1 && !superseded(one, other.1) && !superseded(other, one.1)
    };
    let differs = ports.windows(2).find(differ)?;
    let untranslated = case.address(differs[0].0, Side::Client) == case.address(differs[1].0, Side::Client)
        && case.address(differs[0].0, Side::Server) == case.address(differs[1].0, Side::Server);
    untranslated.then(|| {
        let stretch = Stretch { from: Point::Tap(differs[0].0), to: Point::Tap(differs[1].0) };
        let mut found = finding(stretch, case.confidence(stretch), case.negotiation_evidence());
        let listener = case.negotiation().map_or(Side::Server, |negotiation| negotiation.mode.listener());
        found.evidence.extend(
            from_listener(&ports, listener)
                .into_iter()
                .map(|&(sight, port, at)| case.seen(sight, at, say!("the port offered reads {port} here", port))),
        );
        found
    })
}

/// N5: the negotiation itself was refused, for a reason that is no address.
pub(super) fn refused_negotiation(case: &Case<'_>) -> Option<Finding> {
    let negotiation = case.negotiation().filter(|negotiation| !negotiation.stands())?;
    let mut found = refused(case);
    if is_low(negotiation) {
        found.notes.push(say!("the port offered is below 1024, which servers refuse"));
    }
    if matches!(negotiation.mode, Mode::Epsv | Mode::Eprt) {
        found.notes.push(say!("the server, or a proxy or NAT64 before it, does not speak RFC 2428"));
    }
    Some(found)
}

/// N6: completed although the announced address was foreign: the client used the control connection's.
pub(super) fn foreign_address_ignored(case: &Case<'_>) -> Option<Finding> {
    let negotiation = case.negotiation().filter(|negotiation| negotiation.mode.listener() == Side::Server)?;
    let offers = offers(case);
    let joined = case.attempts().last().copied()?;
    let ignored = offers.iter().any(|offer| {
        let listener = case.session.attempt(offer.sight, joined).map(|attempt| attempt.connection.listener.ip);
        offer.is_foreign() && listener == Some(offer.peer)
    });
    (ignored && negotiation.stands()).then(|| Finding {
        stretch: None,
        owner: Some(Owner::None),
        lost: None,
        ..finding(Stretch::WHOLE, Confidence::Certain, evidence(case, &offers, Side::Server))
    })
}

fn is_low(negotiation: &Negotiation) -> bool {
    negotiation.offered.is_some_and(|offered| offered.port < 1024)
}

/// The words by which vsftpd, pure-ftpd, proftpd and others refuse a PORT for its address.
fn speaks_of_address(case: &Case<'_>, negotiation: &Negotiation) -> bool {
    let view = case.view();
    let text =
        negotiation.reply.and_then(|reply| view.event(reply)).map(|event| view.text_of(event)).unwrap_or_default();
    let text = String::from_utf8_lossy(text).to_lowercase();
    [
        "illegal port",
        "illegal eprt",
        "won't open a connection",
        "address is not yours",
        "rejected",
        "foreign address",
        "bounce",
    ]
    .iter()
    .any(|words| text.contains(words))
}
