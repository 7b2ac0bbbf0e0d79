//! A scenario as data: the line, the programs, each box's rules, and what is true.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use ftpwhy::line::Side;
use ftpwhy::verdict::{Lost, Mechanism, Outcome};

use crate::client::{Client, Does, Mode, Program as ClientProgram};
use crate::firewall::{BLAMED, Tool};
use crate::line::{At, Line};
use crate::server::{Program as ServerProgram, Server, Tls};

/// How many scenarios there are, and how much of each kind of program takes part.
pub(crate) fn census(all: &[Scenario]) -> String {
    let count = |words: BTreeSet<String>| words.len();
    let real = |scenario: &&Scenario| !matches!(scenario.server.program, ServerProgram::Stub | ServerProgram::Absent);
    let servers = count(all.iter().filter(real).map(|one| format!("{:?}", one.server.program)).collect());
    let person = |one: &&Scenario| one.client.program != ClientProgram::Raw;
    let clients = count(all.iter().filter(person).map(|one| format!("{:?}", one.client.program)).collect());
    let tools = count(all.iter().flat_map(|one| &one.rules).map(|(_, tool, _)| format!("{tool:?}")).collect());
    let v6 = all.iter().filter(|one| one.line.v6).count();
    format!(
        "{} scenarios ({} IPv4, {v6} IPv6) with {servers} servers, {clients} clients, {tools} firewall tools",
        all.len(),
        all.len() - v6
    )
}

/// Something that happens on a host.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) when: When,
    pub(crate) at: At,
    /// In the shell's words.
    pub(crate) command: String,
}

/// When something happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum When {
    /// Before rules are loaded and the server starts.
    Early,
    /// When the server listens.
    Ready,
    /// So many milliseconds after the client's start.
    After(u64),
}

/// What is true, whoever looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Truth {
    pub(crate) outcome: Outcome,
    /// The host that kept the packet, or caused its loss; none if nobody's path is to blame.
    pub(crate) place: Option<At>,
    /// The same of the client's session with the second server.
    pub(crate) beside: Option<At>,
    /// What all taps together show of how.
    pub(crate) mechanism: Option<Mechanism>,
    /// The packet, if one was lost.
    pub(crate) lost: Option<Lost>,
    /// What the loopback of the host shows beside, if the host refused its own packet.
    pub(crate) on_loopback: Option<Mechanism>,
    /// It came from the second server, and so entered the line at the last router.
    pub(crate) by_other: bool,
    /// Which way it went, if it is a segment of an established connection.
    pub(crate) toward: Side,
}

/// What must be so, or the recording is no use.
#[derive(Clone, Debug)]
pub(crate) enum Check {
    /// The control connection's text at the client's tap has this.
    Client(&'static str),
    /// It does not.
    ClientLacks(&'static str),
    /// The control connection's text at the server's tap has this.
    Server(&'static str),
    /// That at the server's tap has not.
    ServerLacks(&'static str),
    /// The client printed this.
    Said(&'static str),
    /// The server logged this.
    Logged(&'static str),
    /// An ICMP error from this address was captured at the server's tap.
    Refused(&'static str),
    /// At the server's tap it is this address that closes a data connection first.
    Closed(&'static str),
    /// No tap has a SYN of a data connection.
    Unsent,
}

/// Another world, whose packets are the same at some taps: what is said there must be true of both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Twin {
    pub(crate) taps: Taps,
    /// Who is to blame there; none if nobody on the line is.
    pub(crate) place: Option<At>,
    /// What happens there.
    pub(crate) story: &'static str,
}

/// The sets of taps at which a twin looks alike, by the taps' names without their ending.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Taps {
    /// Every set.
    All,
    /// Those of these taps alone.
    Among(&'static [&'static str]),
    /// Those that have one of these.
    With(&'static [&'static str]),
}

impl Taps {
    fn hold(self, names: &[&str]) -> bool {
        match self {
            Taps::All => true,
            Taps::Among(taps) => names.iter().all(|name| taps.contains(name)),
            Taps::With(taps) => names.iter().any(|name| taps.contains(name)),
        }
    }
}

/// A capture vouches for an absence if it goes on for longer than a second, so the last greeting comes after it.
const REST: Duration = Duration::from_millis(1200);

/// A scenario.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// Row of the catalogue of failure modes (`docs/failures.md`); empty if nothing fails.
    pub(crate) row: &'static str,
    /// One sentence.
    pub(crate) story: String,
    pub(crate) line: Line,
    pub(crate) server: Server,
    pub(crate) client: Client,
    /// What runs on the second server, if there is one.
    pub(crate) other: Option<Server>,
    /// Rules, where and by which tool. Of the rule to blame the comment is [`crate::firewall::BLAMED`].
    pub(crate) rules: Vec<(At, Tool, String)>,
    pub(crate) events: Vec<Event>,
    pub(crate) truth: Truth,
    /// What is on its way when the client ends is given this long.
    pub(crate) rest: Duration,
    /// Other packets of the lost one's kind pass.
    pub(crate) partly: bool,
    /// The way of the lost packet through the rules of the host to blame is traced, and the trace must end there.
    pub(crate) traced: bool,
    pub(crate) checks: Vec<Check>,
    /// Whether the content that arrived tells the outcome.
    pub(crate) content_tells: bool,
    pub(crate) twins: Vec<Twin>,
}

impl Scenario {
    /// One in which vsftpd and lftp list a directory over one router, and all goes well.
    pub(crate) fn new(name: impl Into<String>, row: &'static str, story: impl Into<String>) -> Scenario {
        Scenario {
            name: name.into(),
            row,
            story: story.into(),
            line: Line::plain(1, false),
            server: Server { program: ServerProgram::Vsftpd, port: 21, tls: Tls::None, options: String::new() },
            client: Client {
                program: ClientProgram::Lftp,
                mode: Mode::Pasv,
                does: Does::List,
                tls: Tls::None,
                user: "tester",
                password: "secret",
                patience: 8,
                limit: (20, "TERM"),
                script: String::new(),
                count: 1,
            },
            other: None,
            rest: REST,
            partly: false,
            traced: false,
            rules: Vec::new(),
            events: Vec::new(),
            truth: Truth {
                outcome: Outcome::Completed,
                place: None,
                beside: None,
                mechanism: None,
                lost: None,
                on_loopback: None,
                by_other: false,
                toward: Side::Client,
            },
            checks: Vec::new(),
            content_tells: true,
            twins: Vec::new(),
        }
    }

    pub(crate) fn line(mut self, line: Line) -> Self {
        self.line = line;
        self
    }

    pub(crate) fn programs(mut self, server: ServerProgram, client: ClientProgram) -> Self {
        self.server.program = server;
        self.client.program = client;
        self
    }

    pub(crate) fn transfer(mut self, mode: Mode, does: Does) -> Self {
        self.client.mode = mode;
        self.client.does = does;
        self
    }

    pub(crate) fn rules(mut self, at: At, tool: Tool, rules: impl Into<String>) -> Self {
        self.rules.push((at, tool, rules.into()));
        self
    }

    pub(crate) fn event(mut self, when: When, at: At, command: impl Into<String>) -> Self {
        self.events.push(Event { when, at, command: command.into() });
        self
    }

    /// A second server, with the first one's options and port or its own.
    pub(crate) fn other(mut self, program: ServerProgram, options: impl Into<String>) -> Self {
        self.other = Some(Server { program, options: options.into(), ..self.server.clone() });
        self.line.other = true;
        self
    }

    /// Adds to the server's configuration.
    pub(crate) fn server_options(mut self, options: impl Into<String>) -> Self {
        self.server.options = options.into();
        self
    }

    pub(crate) fn port(mut self, port: u16) -> Self {
        self.server.port = port;
        self
    }

    pub(crate) fn tls(mut self, tls: Tls) -> Self {
        self.server.tls = tls;
        self.client.tls = tls;
        if tls == Tls::Implicit {
            self.server.port = 990;
        }
        self
    }

    pub(crate) fn login(mut self, user: &'static str, password: &'static str) -> Self {
        self.client.user = user;
        self.client.password = password;
        self
    }

    pub(crate) fn script(mut self, script: impl Into<String>) -> Self {
        self.client.script = script.into();
        self
    }

    pub(crate) fn rest(mut self, rest: Duration) -> Self {
        self.rest = rest;
        self
    }

    pub(crate) fn patience(mut self, seconds: u32) -> Self {
        self.client.patience = seconds;
        self
    }

    pub(crate) fn killed(mut self, after: u32, signal: &'static str) -> Self {
        self.client.limit = (after, signal);
        self
    }

    pub(crate) fn clients(mut self, count: usize) -> Self {
        self.client.count = count;
        self
    }

    pub(crate) fn check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// What arrived does not tell the outcome: the checks do.
    pub(crate) fn unjudged_content(mut self) -> Self {
        self.content_tells = false;
        self
    }

    /// A packet is lost on a host.
    pub(crate) fn loses(mut self, lost: Lost, place: At, mechanism: Mechanism) -> Self {
        let truth = Truth {
            outcome: Outcome::Failed,
            place: Some(place),
            mechanism: Some(mechanism),
            lost: Some(lost),
            ..self.truth
        };
        self.truth = truth;
        self
    }

    /// In the session with the second server another host is to blame.
    pub(crate) fn beside(mut self, place: At) -> Self {
        self.truth.beside = Some(place);
        self
    }

    /// The second server sent what was lost.
    pub(crate) fn by_other(mut self) -> Self {
        self.truth.by_other = true;
        self
    }

    /// The host's own refusal is seen on its loopback.
    pub(crate) fn on_loopback(mut self, mechanism: Option<Mechanism>) -> Self {
        self.truth.on_loopback = mechanism;
        self
    }

    /// Some of what is said to be lost gets through.
    pub(crate) fn partly(mut self) -> Self {
        self.partly = true;
        self
    }

    /// A trace is to prove where the packet ended.
    pub(crate) fn traced(mut self) -> Self {
        self.traced = true;
        self
    }

    /// A lost segment went this way.
    pub(crate) fn toward(mut self, side: Side) -> Self {
        self.truth.toward = side;
        self
    }

    /// It fails because of what a host does, and no packet need be lost.
    pub(crate) fn fails(mut self, place: Option<At>, mechanism: Mechanism) -> Self {
        self.truth = Truth { outcome: Outcome::Failed, place, mechanism: Some(mechanism), ..self.truth };
        self
    }

    /// It fails, and packets cannot tell that it does.
    pub(crate) fn unknowable(mut self) -> Self {
        self.truth.outcome = Outcome::Failed;
        self.unjudged_content()
    }

    /// The server's program refuses.
    pub(crate) fn refused(self, reply: &'static str) -> Self {
        self.fails(None, Mechanism::RefusedByServer).check(Check::Client(reply)).unjudged_content()
    }

    /// The client gives it up.
    pub(crate) fn aborted(mut self) -> Self {
        self.truth.outcome = Outcome::Aborted;
        self.unjudged_content()
    }

    /// At these taps it looks as in another world.
    pub(crate) fn twin(mut self, taps: Taps, place: Option<At>, story: &'static str) -> Self {
        self.twins.push(Twin { taps, place, story });
        self
    }

    /// A rule or a policy of this host drops the packet.
    pub(crate) fn blames(&self, host: At) -> bool {
        let rules = self.rules.iter().map(|(at, _, rules)| (at, rules));
        let events = self.events.iter().map(|event| (&event.at, &event.command));
        let blamed = |(at, text): (&At, &String)| *at == host && text.contains(BLAMED);
        self.truth.place == Some(host) && self.truth.lost.is_some() && (self.traced || rules.chain(events).any(blamed))
    }

    /// The line's neighbours of the true place.
    pub(crate) fn interval(&self) -> Option<(usize, usize)> {
        self.truth.place.map(|at| self.line.interval(at))
    }

    /// The second server's address, and the true place in the session with it.
    pub(crate) fn of_other(&self) -> Option<(IpAddr, Option<(usize, usize)>)> {
        let address = self.line.other_server().parse().ok().filter(|_| self.line.other)?;
        let place = self.truth.beside.or(self.truth.place);
        Some((address, place.map(|at| self.line.interval(at))))
    }

    /// The twins that these taps, by number, cannot tell from the truth.
    pub(crate) fn twins(&self, taps: &[usize]) -> Vec<Twin> {
        let names = self.line.taps();
        let names: Vec<&str> = taps.iter().filter_map(|&tap| names[tap].strip_suffix(".pcap")).collect();
        self.twins.iter().filter(|twin| twin.taps.hold(&names)).copied().collect()
    }

    /// Where each of these twins has the packet lost.
    pub(crate) fn places(&self, twins: &[Twin]) -> Vec<Option<(usize, usize)>> {
        twins.iter().map(|twin| twin.place.map(|at| self.line.interval(at))).collect()
    }
}
