//! What a verdict says to a person, in one sentence that can be acted on.
//!
//! A wrong culprit is the worst mistake: no sentence claims more than stretch, owner and mechanism do. Where a stretch
//! holds more than one box, the sentence names all that may be meant.

mod region;

use std::path::Path;

use crate::cite::At;
use crate::few::Few;
use crate::language::{Message, Text, counted, message, say};
use crate::line::{Owner, Place, Point, Side, Stretch};
use crate::netfilter::Rule;
use crate::report::escape::escaped;
use crate::session::place::{Standing, Why, hops};
use crate::tcp::connection::Role;
use crate::verdict::{Case, Confidence, Finding, Lost, Mechanism, Outcome, Source, TapFacts, Verdict};
use region::{Own, Region, end};

/// What the points of a session's line are called.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    case: Case<'a>,
}

impl<'a> Names<'a> {
    /// The names for this case.
    pub(super) fn of(case: Case<'a>) -> Names<'a> {
        Names { case }
    }

    fn facts(self, sight: usize) -> Option<&'a TapFacts> {
        self.case.taps.get(self.case.session.sights.get(sight)?.tap)
    }

    /// The name of a tap, by position in line order.
    pub(super) fn tap(self, sight: usize) -> &'a str {
        self.facts(sight).map_or("capture", |facts| &facts.name)
    }

    /// The file that a packet is in, if its tap has several, or is called by the file that an annotated one keeps it of.
    pub(super) fn rotated(self, sight: usize, at: At) -> Option<&'a str> {
        let TapFacts { name, files, .. } = self.facts(sight)?;
        let tells = |file: &&String| files.len() > 1 || !Path::new(name).ends_with(file);
        files.get(usize::from(at.file)).filter(tells).map(|file| &**file)
    }

    /// The file that a packet is in.
    pub(super) fn file(self, sight: usize, at: At) -> &'a str {
        self.rotated(sight, at).unwrap_or_else(|| self.tap(sight))
    }

    /// The frame number of a packet, with its file if the tap has several.
    pub(super) fn frame(self, sight: usize, at: At) -> String {
        let At { frame, .. } = at;
        match self.rotated(sight, at) {
            Some(file) => format!("{}:{frame}", escaped(file)),
            None => frame.to_string(),
        }
    }

    /// The name of a point of the line.
    pub(super) fn point(self, point: Point) -> &'a str {
        match point {
            Point::Client => "client",
            Point::Tap(sight) => self.tap(sight),
            Point::Server => "server",
        }
    }

    /// Where a tap stands.
    pub(super) fn place(self, sight: usize) -> Place {
        self.case.session.sights.get(sight).map_or(Place::Unknown, |sight| sight.standing.place)
    }

    /// The place of a tap is inferred from untouched TTLs, which tell a host's link from the rest and no more.
    fn is_told_by_ttl(self, sight: usize) -> bool {
        self.case.session.sights.get(sight).is_some_and(|sight| matches!(sight.standing.why, Why::Ttl { .. }))
    }

    /// The name of a tap, and which leg it is of a host whose both legs are there.
    pub(super) fn leg(self, sight: usize) -> Text {
        let name = self.tap(sight);
        let twin = (0..self.case.session.sights.len()).find(|&other| self.is_one_box(sight, other));
        match twin {
            Some(twin) if sight < twin => say!("{name} (client's leg)", name),
            Some(_) => say!("{name} (server's leg)", name),
            None => Text::verbatim(name),
        }
    }

    /// The capture of this tap shows the session on its way in and on its way out, each with both ends' packets.
    pub(super) fn forwards(self, sight: usize) -> bool {
        let whole = |sight: usize| {
            let control = self.case.session.view(sight).map(|view| &view.control);
            control.is_some_and(|control| {
                [Role::Opener, Role::Listener].iter().all(|&role| control.half(role).start.is_some())
            })
        };
        (0..self.case.session.sights.len()).any(|other| self.is_one_box(sight, other) && whole(sight) && whole(other))
    }

    /// Two legs of one forwarding host.
    pub(super) fn is_one_box(self, one: usize, other: usize) -> bool {
        let capture = |sight| self.facts(sight).map(|facts| facts.capture);
        one != other && capture(one).is_some() && capture(one) == capture(other)
    }
}

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
            verdict.netfilter.as_ref().map_or_else(|| sentence(&blame), |named| by_rule(&blame, &named.rule))
        }
    }
}

/// How the word of a tap's own host is cited, where a packet would be by its tap.
pub(super) fn source(source: Source) -> &'static str {
    match source {
        Source::Trace => "nft:trace",
        Source::Rules => "rules",
        Source::Sockets => "socket",
        Source::Connections => "conntrack",
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
        Blame {
            names,
            verdict,
            region: Region::of(names, stretch, verdict.finding.owner),
            opener,
            seen: !is_data || !attempts.is_empty(),
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
fn by_rule(blame: &Blame<'_>, rule: &Rule) -> Text {
    let actor = blame.region.actor(blame.names, Own::Firewall);
    let (what, place) = (blame.what(), rule.place());
    match rule.rejects() {
        true => say!("{Actor} rejected {what}: {place}.", actor, what, place),
        false => say!("{Actor} dropped {what}: {place}.", actor, what, place),
    }
}

fn dropped(blame: &Blame<'_>) -> Text {
    let start = say!("{Actor} dropped {what}", actor = blame.subject(Own::Firewall), what = blame.what());
    with_suspects(start, blame.droppers())
}

fn rejected(blame: &Blame<'_>) -> Text {
    let what = blame.what();
    match (blame.finding().device, blame.region) {
        (Some(device), Region::Host(side)) => {
            say!("The {side}'s own host ({device}) refused {what} with an ICMP error.", side = end(side), device, what)
        }
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

/// Whose side, in the summary line.
pub(super) fn owner(owner: Owner) -> &'static Message {
    match owner {
        Owner::Client => message!("client's side"),
        Owner::Network => message!("network"),
        Owner::Server => message!("server's side"),
        Owner::BeyondClient => message!("network or server's side"),
        Owner::BeyondServer => message!("client's side or network"),
        Owner::None => message!("nobody's firewall"),
        Owner::Unknown => message!("undecided"),
    }
}

/// How a transfer ended.
pub(super) fn outcome(outcome: Outcome) -> &'static Message {
    match outcome {
        Outcome::Completed => message!("completed"),
        Outcome::Failed => message!("failed"),
        Outcome::Aborted => message!("aborted"),
        Outcome::Unfinished => message!("unfinished"),
        Outcome::Unknown => message!("unknown"),
    }
}

/// How sure a verdict is.
pub(super) fn confidence(confidence: Confidence) -> &'static Message {
    match confidence {
        Confidence::Certain => message!("certain"),
        Confidence::Likely => message!("likely"),
        Confidence::Possible => message!("possible"),
    }
}

/// Where on the line a place is.
pub(super) fn place(place: Place) -> &'static str {
    match place {
        Place::Client => "on the client's host",
        Place::Between => "between the hosts",
        Place::Server => "on the server's host",
        Place::Unknown => "at an unknown place",
    }
}

/// Where a tap seems to stand, and why.
pub(super) fn standing(tap: &str, standing: &Standing) -> Text {
    let why = why(standing.why);
    let end = match standing.place {
        Place::Client => end(Side::Client),
        Place::Server => end(Side::Server),
        Place::Between => return say!("{tap} seems to stand between the hosts: {why}", tap, why),
        Place::Unknown => return say!("where {tap} stands is unknown: {why}", tap, why),
    };
    match standing.why {
        Why::Ttl { .. } => say!("{tap} seems to stand on the {end}'s own host or link: {why}", tap, end, why),
        _ => say!("{tap} seems to stand on the {end}'s own host: {why}", tap, end, why),
    }
}

/// Why a tap is thought to stand there.
pub(super) fn why(why: Why) -> Text {
    match why {
        Why::Given => Text::verbatim(""),
        Why::Own => say!("the capturing host's own addresses tell"),
        Why::Direction(Side::Client) => say!("the client's packets are outgoing here, the server's incoming"),
        Why::Direction(Side::Server) => say!("the server's packets are outgoing here, the client's incoming"),
        Why::OneEnd => say!("only one end's packets were captured"),
        Why::Ttl { client, server } => match (hops(client), hops(server)) {
            (0, 0) => {
                say!("both ends' packets are untouched (TTL {client} and {server}): all on one link", client, server)
            }
            (0, far) => say!(
                "the client's packets come untouched (TTL {client}), the server's over {routers}",
                client,
                routers = counted!(far, "router")
            ),
            (far, 0) => say!(
                "the server's packets come untouched (TTL {server}), the client's over {routers}",
                server,
                routers = counted!(far, "router")
            ),
            (one, other) => say!(
                "the client's packets come over {one}, the server's over {other}",
                one = counted!(one, "router"),
                other = counted!(other, "router")
            ),
        },
    }
}

#[cfg(test)]
mod tests;
