//! What `ftpwhy watch` said on a host, held to the truth and to a replay of what it kept.

use std::fs;
use std::iter;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common;
use crate::firewall::BLAMED;
use crate::host::{Fallible, output};
use crate::judge::{Grade, grade};
use crate::labelled::{Interval, Labelled, Watched};
use crate::line::{At, Whole};
use crate::live::{self, Manner};
use crate::scenario::Scenario;

/// The rule of a session that a socket tells of and no packet shows: a capture that was kept holds nothing of it.
const BY_SOCKET: &str = "C16";

/// Failure modes in which the trace may miss the packet, so that the hook is enough: of data in full flow it takes a few
/// segments.
pub(crate) const UNTRACED: [&str; 1] = ["T03"];

/// Failure modes in which the rule need not be certain: its counter tells, or an ICMP error of which the trace has no ports.
const UNPROVEN: [&str; 2] = ["T03", "T04"];

/// How much netfilter said of a drop on its own host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Naming {
    /// The very rule, or the policy.
    Rule,
    /// The chain, without a rule.
    Hook,
    Nothing,
}

/// What was said on one host.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) at: At,
    pub(crate) manner: Manner,
    pub(crate) grade: Grade,
    /// Where a rule of this host dropped the packet.
    pub(crate) naming: Option<Naming>,
    /// What must not be, in words.
    pub(crate) faults: Vec<String>,
    /// That the rule to blame is not named.
    pub(crate) lacks: Option<String>,
}

/// Judges what was said on every host of the line.
pub(crate) fn judge(scenario: &Scenario, case: &Labelled, folder: &Path) -> Fallible<Vec<Heard>> {
    let heard = scenario.line.wholes().into_iter().map(|whole| judge_host(scenario, case, folder, &whole));
    Ok(heard.collect::<Fallible<Vec<_>>>()?.concat())
}

fn judge_host(scenario: &Scenario, case: &Labelled, folder: &Path, whole: &Whole) -> Fallible<Vec<Heard>> {
    let at = whole.at;
    let read = |manner| {
        let report = live::report(folder, at, manner);
        let told = fs::read_to_string(&report).map_err(|error| format!("{}: {error}", report.display()))?;
        Told::read(&told)
    };
    let (traced, untraced) = (read(Manner::Traced)?, read(Manner::Read)?);
    let capture = live::capture(folder, at);
    let replayed = output(
        Command::new("sh")
            .args(["-c", "\"$@\" || [ $? = 1 ]", "sh", env!("CARGO_BIN_EXE_ftpwhy"), "replay", "--format", "jsonl"])
            .args(["--control-port", &scenario.server.port.to_string()])
            .arg(&capture),
        "",
    )?;
    let replayed = Told::read(&replayed)?;
    let watched = Watched { place: common::place(&whole.name), files: vec![capture], taps: whole.taps.clone() };
    let said = case.replay_watched(&[watched], false).verdicts;
    let stretches: Vec<Option<Interval>> = said.iter().map(|said| said.stretch).collect();
    let own = scenario.line.interval(at);
    let told = |manner, told: &Told| {
        let (mut faults, stretches) = match manner {
            Manner::Traced => (told.differences(&replayed, &stretches, own), told.narrowed(&stretches, own)),
            Manner::Read => (Vec::new(), told.stretches(&replayed, &stretches, case.taps.len(), own)),
        };
        let judged = told.judge(scenario, case, whole, &stretches, manner);
        faults.extend(judged.wrong.clone().or_else(|| judged.lacks(scenario, manner)));
        let label = |text: &String| format!("{} {manner:?} on {at}: {text}: {told:?}", scenario.name);
        let lacks = judged.naming.filter(|naming| *naming != Naming::Rule);
        let lacks = lacks.map(|it| format!("{} {manner:?} on {at}: {it:?} named", scenario.name));
        let faults = faults.iter().map(label).collect();
        Heard { at, manner, grade: judged.grade, naming: judged.naming, faults, lacks }
    };
    Ok(vec![told(Manner::Traced, &traced), told(Manner::Read, &untraced)])
}

/// A verdict.
#[derive(Clone, Debug, PartialEq)]
struct Verdict {
    rule: String,
    mechanism: String,
    side: String,
    /// From where to where: `client`, `server` or the host's own capture.
    stretch: Option<[&'static str; 2]>,
    confidence: String,
    netfilter: Value,
    /// The evidence tells at which hook.
    tells_hook: bool,
    /// Address of the session's server.
    server: String,
}

impl Verdict {
    fn read(value: &Value, server: &str) -> Option<Verdict> {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        Some(Verdict {
            server: server.to_owned(),
            rule: text("rule")?,
            mechanism: text("mechanism")?,
            side: text("side")?,
            stretch: value["stretch"].as_object().map(|stretch| [&stretch["from"], &stretch["to"]].map(end)),
            confidence: text("confidence")?,
            netfilter: value["netfilter"].clone(),
            tells_hook: value["evidence"].as_array().is_some_and(|evidence| evidence.iter().any(is_of_hook)),
        })
    }

    /// Netfilter of this host says that it was there.
    fn names(&self) -> bool {
        !self.netfilter.is_null()
    }

    /// What netfilter names is the rule with the comment, or the policy where that is to blame.
    fn names_the_blamed(&self, is_policy: bool) -> bool {
        let rule = self.netfilter["rule"].as_str().unwrap_or_default();
        let is_drop = rule == "policy drop" || rule.starts_with("-P ") && rule.ends_with(" DROP");
        if is_policy { is_drop } else { rule.contains(BLAMED) }
    }
}

fn is_of_hook(evidence: &Value) -> bool {
    evidence["text"].as_str().is_some_and(|text| text.contains(" lost at the hook "))
}

/// The end of a stretch. Live, a capture has the name of the device, later that of its file.
fn end(name: &Value) -> &'static str {
    match name.as_str() {
        Some("client") => "client",
        Some("server") => "server",
        _ => "here",
    }
}

/// All that a report says of what is compared.
#[derive(Clone, Debug, Default, PartialEq)]
struct Told {
    /// Of control connections and transfers.
    outcomes: Vec<String>,
    verdicts: Vec<Verdict>,
}

/// What comes of holding it to the truth.
struct Held {
    grade: Grade,
    naming: Option<Naming>,
    wrong: Option<String>,
}

impl Held {
    /// What is to be told where a rule of this host is to blame: with the trace that rule, for certain; else the hook at least.
    fn lacks(&self, scenario: &Scenario, manner: Manner) -> Option<String> {
        let naming = self.naming?;
        let is_rule = naming == Naming::Rule && self.grade == Grade::Right;
        match manner {
            Manner::Traced if !UNTRACED.contains(&scenario.row) => {
                (!is_rule).then(|| "the rule is not named".to_owned())
            }
            _ => (naming == Naming::Nothing).then(|| "not even the hook is told".to_owned()),
        }
    }
}

impl Told {
    /// Reads sessions in the form `jsonl`, in the order of their beginnings.
    fn read(lines: &str) -> Fallible<Told> {
        let sessions = lines.lines().map(|line| serde_json::from_str(line).map_err(|error| format!("{error}: {line}")));
        let mut sessions: Vec<Value> = sessions.collect::<Fallible<_>>()?;
        sessions.sort_by_key(|session| session["started"].as_str().map(str::to_owned));
        let of = |session: &Value| {
            let server = session["server"]["ip"].as_str().unwrap_or_default().to_owned();
            let transfers = session["transfers"].as_array().cloned().unwrap_or_default();
            let parts = [vec![session["control"].clone()], transfers].concat();
            parts.into_iter().map(move |part| (part, server.clone()))
        };
        let parts: Vec<(Value, String)> = sessions.iter().flat_map(of).collect();
        Ok(Told {
            outcomes: parts.iter().filter_map(|(part, _)| part["outcome"].as_str().map(str::to_owned)).collect(),
            verdicts: parts.iter().filter_map(|(part, server)| Verdict::read(&part["diagnosis"], server)).collect(),
        })
    }

    /// How a replay differs, apart from what netfilter adds: where it names a rule, the stretch of the replay may be wider and
    /// the side more.
    fn differences(&self, replayed: &Told, stretches: &[Option<Interval>], own: Interval) -> Vec<String> {
        let by_socket = self.verdicts.iter().filter(|verdict| verdict.rule == BY_SOCKET).count();
        if by_socket > 0 && by_socket == self.outcomes.len() && *replayed == Told::default() {
            return Vec::new();
        }
        if self.outcomes != replayed.outcomes || self.verdicts.len() != replayed.verdicts.len() {
            return vec![format!("replay differs: {self:?}\n  is replayed as {replayed:?}")];
        }
        let same = |((live, replay), stretch): &((&Verdict, &Verdict), &Option<Interval>)| match live.names() {
            true => {
                (&live.rule, &live.mechanism) == (&replay.rule, &replay.mechanism)
                    && stretch.is_some_and(|wide| wide.0 <= own.0 && own.1 <= wide.1)
                    && (**stretch != Some(own) || live.side == replay.side)
            }
            // the hook is netfilter's evidence
            false => *live == &Verdict { tells_hook: live.tells_hook, ..Verdict::clone(replay) },
        };
        let both = self.verdicts.iter().zip(&replayed.verdicts).zip(stretches);
        both.filter(|it| !same(it))
            .map(|((live, replay), stretch)| {
                format!("replay differs: {live:?}\n  is replayed as {replay:?} ({stretch:?})")
            })
            .collect()
    }

    /// The stretches that are named, where those of a replay are known: whom netfilter names is the host itself.
    fn narrowed(&self, replayed: &[Option<Interval>], own: Interval) -> Vec<Option<Interval>> {
        let replayed = replayed.iter().copied().chain(iter::repeat(None));
        let both = self.verdicts.iter().zip(replayed);
        both.map(|(verdict, it)| if verdict.names() { Some(own) } else { it }).collect()
    }

    /// The stretches that are named. What chance shows two captures of one host differs: where a replay of the other says it in
    /// the same words, it is the same stretch; else the widest that the words can mean.
    fn stretches(
        &self,
        replayed: &Told,
        stretches: &[Option<Interval>],
        taps: usize,
        own: Interval,
    ) -> Vec<Option<Interval>> {
        let by_words = |[from, to]: [&str; 2]| {
            let tap = |number: usize| number.clamp(1, taps);
            match (from, to) {
                ("here", "here") => own,
                ("here", to) => (tap(own.0), if to == "server" { taps + 1 } else { own.1 }),
                (_, "here") => (0, tap(own.1)),
                (_, _) => (0, taps + 1),
            }
        };
        let one = |(index, verdict): (usize, &Verdict)| {
            let words = verdict.stretch?;
            let is_same = replayed.verdicts.get(index).is_some_and(|it| it.stretch == Some(words));
            let replayed = stretches.get(index).copied().flatten().filter(|_| is_same);
            Some(replayed.unwrap_or_else(|| by_words(words)))
        };
        self.verdicts.iter().enumerate().map(one).collect()
    }

    fn judge(
        &self,
        scenario: &Scenario,
        case: &Labelled,
        whole: &Whole,
        stretches: &[Option<Interval>],
        manner: Manner,
    ) -> Held {
        let is_blamed = scenario.blames(whole.at);
        let is_beside = |verdict: &Verdict| case.beside.is_some_and(|(server, _)| server.to_string() == verdict.server);
        let named: Vec<(&str, Interval, bool)> = self
            .verdicts
            .iter()
            .zip(stretches)
            .filter_map(|(verdict, stretch)| Some((verdict.rule.as_str(), (*stretch)?, is_beside(verdict))))
            .collect();
        let failed = self.outcomes.iter().any(|outcome| outcome == "failed");
        let lacks_packets = self.verdicts.iter().any(|verdict| verdict.rule == "V3");
        let is_here = scenario.truth.place == Some(whole.at);
        let other = self.verdicts.iter().find(|it| it.names() && !(is_here && it.names_the_blamed(scenario.traced)));
        let wrong = case
            .misjudged(&named, failed && !lacks_packets)
            .or_else(|| other.map(|verdict| format!("names another rule: {verdict:?}")));
        let naming = is_blamed.then(|| self.naming());
        let own = named.iter().filter(|(.., beside)| !beside);
        let stretches: Vec<Interval> = own.map(|(_, stretch, _)| *stretch).collect();
        let twins = scenario.places(&scenario.twins(&whole.taps));
        let is_provable = manner == Manner::Traced && !UNPROVEN.contains(&scenario.row);
        let grade = match (&wrong, grade(case, &twins, &stretches, &whole.taps)) {
            (Some(_), _) => Grade::Wrong,
            (None, Grade::Right) if is_blamed && is_provable && !self.is_certain() => Grade::Wide,
            (None, grade) => grade,
        };
        Held { grade, naming, wrong }
    }

    fn naming(&self) -> Naming {
        let has_text = |verdict: &&Verdict| verdict.netfilter["rule"].as_str().is_some_and(|rule| !rule.is_empty());
        let mut named = self.verdicts.iter().filter(|verdict| verdict.names()).peekable();
        match (named.peek().is_some(), named.all(|verdict| has_text(&verdict))) {
            (true, true) => Naming::Rule,
            (true, false) => Naming::Hook,
            (false, _) if self.verdicts.iter().any(|verdict| verdict.tells_hook) => Naming::Hook,
            (false, _) => Naming::Nothing,
        }
    }

    /// Whether netfilter leaves no doubt.
    fn is_certain(&self) -> bool {
        let mut named = self.verdicts.iter().filter(|verdict| verdict.names()).peekable();
        named.peek().is_some() && named.all(|verdict| verdict.confidence == "certain")
    }
}
