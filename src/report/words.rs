//! What a verdict says to a person, in one sentence that can be acted on.
//!
//! A wrong culprit is the worst mistake: no sentence claims more than stretch, owner and mechanism do. Where a stretch
//! holds more than one box, the sentence names all that may be meant.

mod names;
mod region;
mod standing;
mod terms;

use crate::few::Few;
use crate::language::{Text, say};
use crate::line::{Point, Side, Stretch};
use crate::verdict::{Case, Confidence, Finding, Lost, Mechanism, Named, Source, Verdict, end};
pub(super) use names::Names;
use region::{Own, Region};
pub(super) use standing::{place, standing, why};
pub(super) use terms::{confidence, outcome, owner, source};

/// The sentence of a verdict.
pub(super) fn summary(case: &Case<'_>, verdict: &Verdict) -> Text {
    let finding = &verdict.finding;
    let says = Text::from(verdict.rule.says);
    match (finding.mechanism, finding.stretch) {
        (Mechanism::RefusedByServer, _) => say!("{says} No firewall is to blame.", says),
        (Mechanism::IncompleteCapture | Mechanism::Encrypted, None) => says,
        (Mechanism::IncompleteCapture | Mechanism::Encrypted, Some(_)) => {
            say!("{says} Whose firewall is to blame, if any is, cannot be told.", says)
        }
        (Mechanism::UnreachableAddress, None) => says,
        (Mechanism::Stalled, None) => {
            say!("{says} The receiver's own program does not read; no firewall is to blame.", says)
        }
        (_, None) => say!("{says} Nobody on the path is to blame.", says),
        (_, Some(stretch)) => {
            let blame = Blame::of(case, verdict, stretch);
            verdict.netfilter.as_ref().map_or_else(|| sentence(&blame), |named| by_rule(&blame, named))
        }
    }
}

/// What a sentence about a loss is made of.
struct Blame<'a> {
    names: Names<'a>,
    verdict: &'a Verdict,
    region: Region,
    /// Who opens the connection in question.
    opener: Side,
    /// A packet of the connection was captured.
    seen: bool,
    /// Whose packet of the handshake was lost.
    sender: Side,
    /// The device that spoke is that packet's sender.
    to_itself: bool,
    /// The address that the negotiation offers.
    offered: Option<String>,
    /// The port that the listener offers, as sent and as it arrives, if that differs.
    rewritten: Option<(u16, u16)>,
}

impl<'a> Blame<'a> {
    fn of(case: &Case<'a>, verdict: &'a Verdict, stretch: Stretch) -> Blame<'a> {
        let names = Names::of(*case);
        let is_data =
            !matches!(verdict.finding.lost, Some(Lost::ControlSyn | Lost::ControlSynAck | Lost::ControlSegments));
        let negotiation = case.negotiation().filter(|_| is_data);
        let attempts = if is_data { case.attempts() } else { Few::default() };
        let opener = match (attempts.last(), negotiation) {
            (Some(joined), _) => !case.listens(Some(*joined)),
            (None, Some(negotiation)) => !negotiation.mode.listener(),
            (None, None) => Side::Client,
        };
        let is_answer = matches!(verdict.finding.lost, Some(Lost::ControlSynAck | Lost::DataSynAck));
        let sender = if is_answer { !opener } else { opener };
        Blame {
            names,
            verdict,
            region: Region::of(names, stretch, verdict.finding.owner),
            opener,
            sender,
            seen: !is_data || !attempts.is_empty(),
            to_itself: verdict.finding.device.is_some_and(|device| case.has_address(sender, device)),
            offered: negotiation
                .and_then(|negotiation| negotiation.offered?.address)
                .map(|address| address.to_string()),
            rewritten: rewritten(case, stretch, !opener).filter(|_| verdict.rule.name.ends_with("rewritten")),
        }
    }

    /// Who acted, at the beginning of a sentence.
    fn subject(&self, own: Own) -> Text {
        self.region.subject(self.names, own)
    }

    fn finding(&self) -> &'a Finding {
        &self.verdict.finding
    }

    fn location(&self) -> Text {
        self.region.location(self.names)
    }

    /// Who may have kept packets from passing; if none was seen, the opener may never have sent one.
    fn droppers(&self) -> Vec<Text> {
        let mut suspects = self.region.suspects(Own::Firewall);
        if !self.seen {
            suspects.push(say!("the {opener} never sent it", opener = end(self.opener)));
        }
        suspects
    }

    /// The connection or the part of it that was lost.
    fn what(&self) -> Text {
        let (opener, listener) = (end(self.opener), end(!self.opener));
        match self.finding().lost {
            Some(Lost::ControlSyn) => say!("the client's control connection"),
            Some(Lost::ControlSynAck) => say!("the server's answer to the control connection"),
            Some(Lost::ControlSegments) => say!("segments of the control connection"),
            Some(Lost::DataSyn) => say!("the {opener}'s data connection", opener),
            Some(Lost::DataSynAck) => say!("the {listener}'s answer to the data connection", listener),
            Some(Lost::DataSegments) => say!("segments of the established data connection"),
            None => say!("the connection"),
        }
    }

    /// The connection that was established.
    fn connection(&self) -> Text {
        match self.finding().lost {
            Some(Lost::ControlSegments) => say!("control connection"),
            _ => say!("data connection"),
        }
    }

    /// The opener's own host refused its SYN.
    fn never_left(&self) -> bool {
        let is_syn = matches!(self.finding().lost, Some(Lost::ControlSyn | Lost::DataSyn));
        is_syn && self.finding().device.is_none() && self.region == Region::Host(self.opener)
    }

    /// The packets are proved to have been sent.
    fn is_proved(&self) -> bool {
        self.finding().confidence > Confidence::Possible
    }
}

fn sentence(blame: &Blame<'_>) -> Text {
    match blame.finding().mechanism {
        Mechanism::IcmpReject | Mechanism::TcpReset if blame.never_left() => {
            say!("The {opener}'s own host refused to let {what} out.", opener = end(blame.opener), what = blame.what())
        }
        Mechanism::SilentDrop => dropped(blame),
        Mechanism::IcmpReject => rejected(blame),
        Mechanism::TcpReset => reset(blame),
        Mechanism::NeverSent => never_sent(blame),
        Mechanism::UnreachableAddress => unreachable(blame),
        Mechanism::Stalled if blame.is_proved() => dropped(blame),
        Mechanism::Stalled => or_never_sent(blame),
        Mechanism::PathMtu => say!(
            "Full-size segments of the {connection} vanished {location}, after the handshake passed: the path MTU, most likely.",
            connection = blame.connection(),
            location = blame.location()
        ),
        Mechanism::IdleExpiry => forgotten(blame),
        Mechanism::Interrupted => {
            let start = say!(
                "The established {connection} was broken by a reset from {actor}",
                connection = blame.connection(),
                actor = blame.region.actor(blame.names, Own::Host)
            );
            with_suspects(start, blame.region.suspects(Own::Host))
        }
        Mechanism::RefusedByServer | Mechanism::Encrypted | Mechanism::IncompleteCapture => {
            blame.verdict.rule.says.into()
        }
    }
}

/// The host's netfilter names the rule.
fn by_rule(blame: &Blame<'_>, named: &Named) -> Text {
    let actor = blame.region.actor(blame.names, Own::Firewall);
    let errors = || say!("the ICMP errors that tell the path MTU of the data connection");
    let (what, place) = (if named.drops_errors { errors() } else { blame.what() }, named.rule.place());
    match named.rule.rejects() {
        true => say!("{Actor} rejected {what}: {place}.", actor, what, place),
        false => say!("{Actor} dropped {what}: {place}.", actor, what, place),
    }
}

fn dropped(blame: &Blame<'_>) -> Text {
    let passes = blame.finding().passes_rules;
    let what = blame.what();
    let is_control_syn = blame.finding().lost == Some(Lost::ControlSyn);
    if !passes && is_control_syn && blame.region == Region::Host(Side::Server) {
        let actor = blame.subject(Own::Host);
        return say!(
            "{Actor} dropped {what}: its firewall, most likely; a full accept queue of its program looks the same.",
            actor,
            what
        );
    }
    let own = if passes { Own::Host } else { Own::Firewall };
    let start = say!("{Actor} dropped {what}", actor = blame.subject(own), what);
    with_suspects(start, blame.droppers())
}

fn rejected(blame: &Blame<'_>) -> Text {
    let what = blame.what();
    match (blame.finding().device, blame.region) {
        (Some(device), Region::Host(side)) => {
            say!("The {side}'s own host ({device}) refused {what} with an ICMP error.", side = end(side), device, what)
        }
        (Some(device), _) if blame.to_itself => say!(
            "The {sender}'s own host ({device}) says that it could not send {what} to its next hop.",
            sender = end(blame.sender),
            device,
            what
        ),
        (Some(device), _) => {
            say!("{device}, {location}, refused {what} with an ICMP error.", device, location = blame.location(), what)
        }
        (None, _) => {
            let (actor, opener) = (blame.subject(Own::Firewall), end(blame.opener));
            let start = say!(
                "{Actor} stopped {what}, and the {opener} gave up at once, as after a refusal",
                actor,
                what,
                opener
            );
            with_suspects(start, blame.droppers())
        }
    }
}

fn reset(blame: &Blame<'_>) -> Text {
    let (actor, what) = (blame.subject(Own::Host), blame.what());
    match blame.finding().lost {
        Some(Lost::ControlSynAck | Lost::DataSynAck) => say!(
            "{Actor} reset {what}: the {opener}'s program had given up, or a rule rejects with tcp-reset.",
            actor,
            what,
            opener = end(blame.opener)
        ),
        _ if blame.verdict.rule.name.ends_with("forged") => say!(
            "{Actor} answered {what} with a reset in the {listener}'s name, most likely by a rule that rejects with tcp-reset.",
            actor,
            what,
            listener = end(!blame.opener)
        ),
        _ => say!(
            "{Actor} answered {what} with a reset: a closed port, or a rule that rejects with tcp-reset.",
            actor,
            what
        ),
    }
}

fn never_sent(blame: &Blame<'_>) -> Text {
    let opener = end(blame.opener);
    let tried = blame.finding().evidence.iter().any(|evidence| evidence.source == Some(Source::Sockets));
    if blame.finding().lost == Some(Lost::ControlSyn) {
        let what = blame.what();
        return match blame.region {
            Region::Host(_) => say!("The {opener}'s own firewall did not let {what} out.", opener, what),
            _ => say!(
                "No interface of the {opener}'s own host shows {what}: something on that host drops it, or an IPsec policy hides what is lost on its way.",
                opener,
                what
            ),
        };
    }
    if tried {
        return say!("The {opener}'s own firewall did not let the SYN of its data connection out.", opener);
    }
    match blame.region {
        Region::Link(_) => say!(
            "The SYN of the {opener}'s data connection never got out: the {opener}'s own firewall stopped it, a box on its own link dropped it, or its program did not try.",
            opener
        ),
        _ => say!(
            "The SYN of the {opener}'s data connection never got out: the {opener}'s own firewall stopped it, or its program did not try.",
            opener
        ),
    }
}

/// The ports that the taps at both ends of a stretch read in the listener's offer, if they differ: as sent, as arrived.
fn rewritten(case: &Case<'_>, stretch: Stretch, listener: Side) -> Option<(u16, u16)> {
    let port = |point| match point {
        Point::Tap(sight) => case.session.transfer(sight, case.transfer?)?.negotiation.as_ref()?.offered,
        Point::Client | Point::Server => None,
    };
    let (nearer, further) = (port(stretch.from)?.port, port(stretch.to)?.port);
    let ports = if listener == Side::Client { (nearer, further) } else { (further, nearer) };
    (nearer != further).then_some(ports)
}

fn unreachable(blame: &Blame<'_>) -> Text {
    if let Some((sent, arrived)) = blame.rewritten {
        return say!(
            "A box on the path changes the port that the {listener} offers: {sent} became {arrived}. It stands {location}.",
            listener = end(!blame.opener),
            sent,
            arrived,
            location = blame.location()
        );
    }
    let says = Text::from(blame.verdict.rule.says);
    let place = match blame.region {
        Region::Host(side) | Region::Link(side) => say!("on the {side}'s side", side = end(side)),
        _ => blame.location(),
    };
    match &blame.offered {
        Some(address) => say!("{says:clause} ({address}); the cause lies {place}.", says, address, place),
        None => say!("{says:clause}; the cause lies {place}.", says, place),
    }
}

fn or_never_sent(blame: &Blame<'_>) -> Text {
    let (says, location) = (Text::from(blame.verdict.rule.says), blame.location());
    say!("{says:clause}: what should come was lost {location}, or never sent.", says, location)
}

fn forgotten(blame: &Blame<'_>) -> Text {
    let actor = blame.region.actor(blame.names, Own::Firewall);
    match blame.is_proved() {
        true => say!(
            "The control connection was most likely forgotten by {actor}, while it was silent and data ran: its segments are dropped since.",
            actor
        ),
        false => say!(
            "{says:clause}: the silent control connection was forgotten by {actor}, or nothing more was sent.",
            says = Text::from(blame.verdict.rule.says),
            actor
        ),
    }
}

/// `start: one, or other.`; a single suspect besides the actor is the alternative to all that was said.
fn with_suspects(start: Text, mut suspects: Vec<Text>) -> Text {
    let last = suspects.pop();
    let others = suspects.into_iter().reduce(|others, next| say!("{others}, {next}", others, next));
    match (others, last) {
        (Some(others), Some(last)) => say!("{start}: {others}, or {last}.", start, others, last),
        (None, Some(only)) => say!("{start}, or {only}.", start, only),
        (_, None) => say!("{start}.", start),
    }
}

#[cfg(test)]
mod tests;
