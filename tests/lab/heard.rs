//! What `ftpwhy watch` said on a host, held to the truth and to a replay of what it kept.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::firewall::BLAMED;
use crate::host::{Fallible, output};
use crate::judge::{Grade, grade};
use crate::labelled::{self, Interval, Labelled, Watched};
use crate::line::{At, Whole};
use crate::live;
use crate::scenario::Scenario;
use crate::vantage;

/// Failure modes in which no rule need be named: a live capture keeps a few segments of established data connections only, so
/// it may miss that one was lost. Wrong is wrong here, too.
pub(crate) const UNSEEN: [&str; 5] = ["T01", "T02", "T03", "T04", "T14"];

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
    pub(crate) grade: Grade,
    /// Where a rule of this host dropped the packet, and that can be told.
    pub(crate) naming: Option<Naming>,
    /// What must not be, in words.
    pub(crate) faults: Vec<String>,
    /// What cannot be told yet, and why.
    pub(crate) lacks: Option<String>,
}

/// Judges what was said on every host of the line.
pub(crate) fn judge(scenario: &Scenario, case: &Labelled, folder: &Path) -> Fallible<Vec<Heard>> {
    scenario.line.wholes().iter().map(|whole| judge_host(scenario, case, folder, whole)).collect()
}

fn judge_host(scenario: &Scenario, case: &Labelled, folder: &Path, whole: &Whole) -> Fallible<Heard> {
    let at = whole.at;
    let report = live::report(folder, at);
    let told = fs::read_to_string(&report).map_err(|error| format!("{}: {error}", report.display()))?;
    let capture = live::capture(folder, at);
    let replayed = output(
        Command::new("sh")
            .args(["-c", "\"$@\" || [ $? = 1 ]", "sh", env!("CARGO_BIN_EXE_ftpwhy"), "replay", "--format", "jsonl"])
            .args(["--control-port", &scenario.server.port.to_string()])
            .arg(&capture),
        "",
    )?;
    let (told, replayed) = (Told::read(&told)?, Told::read(&replayed)?);
    let watched = Watched { place: vantage::place(&whole.name), files: vec![capture], taps: whole.taps.clone() };
    let mut said = case.replay_watched(&[watched], false).verdicts;
    let own = scenario.line.interval(at);
    let mut faults = told.differences(&replayed, &said, own);
    for (said, _) in said.iter_mut().zip(&told.verdicts).filter(|(_, told)| told.names()) {
        said.stretch = Some(own);
    }
    let judged = told.judge(scenario, case, whole, &said);
    faults.extend(judged.wrong.clone().or_else(|| unnamed(scenario, &judged)));
    let label = |text: &String| format!("{} live on {at}: {text}: {told:?}", scenario.name);
    let lacks = judged.naming.and(scenario.unnamed).map(|why| format!("{} live on {at}: {why}", scenario.name));
    Ok(Heard { at, grade: judged.grade, naming: judged.naming, faults: faults.iter().map(label).collect(), lacks })
}

/// A rule of this host that is to blame must be named, unless the scenario tells why it cannot be.
fn unnamed(scenario: &Scenario, judged: &Held) -> Option<String> {
    let is_named = judged.naming? == Naming::Rule && judged.grade == Grade::Right;
    match (is_named, scenario.unnamed) {
        (false, None) => Some("the rule is not named".to_owned()),
        (true, Some(reason)) => Some(format!("the rule is named in spite of: {reason}")),
        (true, None) | (false, Some(_)) => None,
    }
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
}

impl Verdict {
    fn read(value: &Value) -> Option<Verdict> {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        Some(Verdict {
            rule: text("rule")?,
            mechanism: text("mechanism")?,
            side: text("side")?,
            stretch: value["stretch"].as_object().map(|stretch| [&stretch["from"], &stretch["to"]].map(end)),
            confidence: text("confidence")?,
            netfilter: value["netfilter"].clone(),
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

impl Told {
    /// Reads sessions in the form `jsonl`, in the order of their beginnings.
    fn read(lines: &str) -> Fallible<Told> {
        let sessions = lines.lines().map(|line| serde_json::from_str(line).map_err(|error| format!("{error}: {line}")));
        let mut sessions: Vec<Value> = sessions.collect::<Fallible<_>>()?;
        sessions.sort_by_key(|session| session["started"].as_str().map(str::to_owned));
        let of = |session: &Value| {
            let transfers = session["transfers"].as_array().cloned().unwrap_or_default();
            [vec![session["control"].clone()], transfers].concat()
        };
        let parts: Vec<Value> = sessions.iter().flat_map(of).collect();
        Ok(Told {
            outcomes: parts.iter().filter_map(|part| part["outcome"].as_str().map(str::to_owned)).collect(),
            verdicts: parts.iter().filter_map(|part| Verdict::read(&part["diagnosis"])).collect(),
        })
    }

    /// How a replay differs, apart from what netfilter adds: where it names a rule, the stretch of the replay may be wider and
    /// the side more.
    fn differences(&self, replayed: &Told, said: &[labelled::Verdict], own: Interval) -> Vec<String> {
        if self.outcomes != replayed.outcomes || self.verdicts.len() != replayed.verdicts.len() {
            return vec![format!("replay differs: {self:?}\n  is replayed as {replayed:?}")];
        }
        let same = |((live, replay), said): &((&Verdict, &Verdict), &labelled::Verdict)| match live.names() {
            true => {
                (&live.rule, &live.mechanism) == (&replay.rule, &replay.mechanism)
                    && said.stretch.is_some_and(|wide| wide.0 <= own.0 && own.1 <= wide.1)
                    && (said.stretch != Some(own) || live.side == replay.side)
            }
            false => live == replay,
        };
        let both = self.verdicts.iter().zip(&replayed.verdicts).zip(said);
        both.filter(|it| !same(it))
            .map(|((live, replay), said)| format!("replay differs: {live:?}\n  is replayed as {replay:?} ({said:?})"))
            .collect()
    }

    fn judge(&self, scenario: &Scenario, case: &Labelled, whole: &Whole, said: &[labelled::Verdict]) -> Held {
        let is_blamed = scenario.blames(whole.at);
        let named = said.iter().filter_map(|said| Some((said.rule, said.stretch?, said.beside)));
        let named: Vec<(&str, Interval, bool)> = named.collect();
        let failed = self.outcomes.iter().any(|outcome| outcome == "failed");
        let lacks_packets = self.verdicts.iter().any(|verdict| verdict.rule == "V3");
        let other = self.verdicts.iter().find(|it| it.names() && !(is_blamed && it.names_the_blamed(scenario.traced)));
        let wrong = case
            .misjudged(&named, failed && !lacks_packets)
            .or_else(|| other.map(|verdict| format!("names another rule: {verdict:?}")));
        let naming = (is_blamed && !UNSEEN.contains(&scenario.row)).then(|| self.naming());
        let own = named.iter().filter(|(.., beside)| !beside);
        let stretches: Vec<Interval> = own.map(|(_, stretch, _)| *stretch).collect();
        let twins = scenario.places(&scenario.twins(&whole.taps));
        let grade = match (&wrong, grade(case, &twins, &stretches, &whole.taps)) {
            (Some(_), _) => Grade::Wrong,
            (None, Grade::Right) if is_blamed && !self.is_certain() => Grade::Wide,
            (None, grade) => grade,
        };
        Held { grade, naming, wrong }
    }

    fn naming(&self) -> Naming {
        let named = self.verdicts.iter().filter(|verdict| verdict.names());
        let naming = named.map(|verdict| match verdict.netfilter["rule"].as_str() {
            None | Some("") => Naming::Hook,
            Some(_) => Naming::Rule,
        });
        naming.min().unwrap_or(Naming::Nothing)
    }

    /// Whether netfilter leaves no doubt.
    fn is_certain(&self) -> bool {
        let mut named = self.verdicts.iter().filter(|verdict| verdict.names()).peekable();
        named.peek().is_some() && named.all(|verdict| verdict.confidence == "certain")
    }
}
