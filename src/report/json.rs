//! The machine-readable form: one object a session, schema `ftpwhy.session/1`.
//!
//! Names and the words of the closed lists ([`names`]) are stable; a breaking change raises the number in the schema.
//! Texts are borrowed and written straight through, since a run may report hundreds of thousands of sessions.

mod events;

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use crate::line::Stretch;
use crate::packet::Endpoint;
use crate::plain::is_plain;
use crate::report::escape::is_harmless;
use crate::report::facts;
use crate::report::names;
use crate::report::time::Rfc3339;
use crate::report::words::{self, Names, summary};
use crate::session::join::Session;
use crate::session::view::{Transfer, View};
use crate::verdict::{Case, Evidence, Judgement, Named, Outcome, TapFacts, Verdict};

/// The form's name and number.
const SCHEMA: &str = "ftpwhy.session/1";

/// Appends the object of one session to `out`.
///
/// # Errors
/// None that a vector could cause.
pub(super) fn write(
    out: &mut Vec<u8>,
    session: &Session,
    judgement: &Judgement,
    taps: &[TapFacts],
) -> serde_json::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, Harmless);
    session_object(session, judgement, taps).serialize(&mut serializer)?;
    out.pop(); // the brace, which closes the object behind its last member
    out.extend_from_slice(b",\"timeline\":");
    events::write(out, session, taps)?;
    out.push(b'}');
    Ok(())
}

/// JSON without blanks that a terminal may see: what would act on it is written as an escape, which means the same.
pub(super) struct Harmless;

impl serde_json::ser::Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        if is_plain(fragment.as_bytes()) {
            return out.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, char)) = rest.char_indices().find(|&(_, char)| !is_harmless(char)) {
            out.write_all(&rest.as_bytes()[..at])?;
            for unit in char.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + char.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

/// All of it but the timeline.
#[derive(Serialize)]
struct SessionObject<'a> {
    schema: &'static str,
    session: u64,
    taps: Vec<TapObject<'a>>,
    client: EndpointObject,
    server: EndpointObject,
    started: Rfc3339,
    ended: Rfc3339,
    user: Option<Text<'a>>,
    software: Option<String>,
    encrypted: bool,
    control: ControlObject<'a>,
    transfers: Vec<TransferObject<'a>>,
}

fn session_object<'a>(session: &'a Session, judgement: &'a Judgement, taps: &'a [TapFacts]) -> SessionObject<'a> {
    let case = Case { session, taps, transfer: None };
    let view = session.main();
    let (outcome, verdict) = &judgement.control;
    let transfers = view.transfers.iter().zip(&judgement.transfers).enumerate();
    SessionObject {
        schema: SCHEMA,
        session: session.number,
        taps: (0..session.sights.len()).map(|sight| tap(case, sight)).collect(),
        client: view.client.into(),
        server: view.server.into(),
        started: Rfc3339(view.began.time),
        ended: Rfc3339(view.last_at.time),
        user: facts::user(view).map(Text),
        software: facts::software(view),
        encrypted: view.encrypted.is_some(),
        control: ControlObject { outcome: names::control(*outcome), diagnosis: diagnosis(case, verdict.as_ref()) },
        transfers: transfers
            .map(|(index, (content, judged))| transfer(Case { transfer: Some(index), ..case }, index, content, judged))
            .collect(),
    }
}

#[derive(Serialize)]
struct TapObject<'a> {
    name: &'a str,
    place: &'static str,
    place_from: &'static str,
    why: String,
    packets: u64,
    lost: u64,
    complete: bool,
    clock_offset_ns: i64,
}

fn tap<'a>(case: Case<'a>, sight: usize) -> TapObject<'a> {
    let content = &case.session.sights[sight];
    let facts = case.facts(sight);
    let whole = content.view.as_ref().is_none_or(|view| view.gaps == 0 && view.uncounted == 0);
    TapObject {
        name: &facts.name,
        place: names::place(content.standing.place),
        place_from: names::place_from(&content.standing),
        why: words::why(content.standing.why).english(),
        packets: facts.packets,
        lost: facts.lost,
        complete: whole && !facts.cut && facts.lost == 0,
        clock_offset_ns: content.offset_ns,
    }
}

#[derive(Serialize)]
struct EndpointObject {
    ip: IpAddr,
    port: u16,
}

impl From<Endpoint> for EndpointObject {
    fn from(Endpoint { ip, port }: Endpoint) -> Self {
        EndpointObject { ip, port }
    }
}

#[derive(Serialize)]
struct ControlObject<'a> {
    outcome: &'static str,
    diagnosis: Option<Diagnosis<'a>>,
}

#[derive(Serialize)]
struct TransferObject<'a> {
    number: usize,
    command: Option<Text<'a>>,
    argument: Option<Text<'a>>,
    mode: Option<&'static str>,
    endpoint: Option<EndpointObject>,
    data_connection: Option<DataConnection>,
    replies: Vec<ReplyObject<'a>>,
    outcome: &'static str,
    diagnosis: Option<Diagnosis<'a>>,
}

fn transfer<'a>(
    case: Case<'a>,
    index: usize,
    content: &'a Transfer,
    (outcome, verdict): &'a (Outcome, Option<Verdict>),
) -> TransferObject<'a> {
    let view = case.view();
    let command = facts::command(&case);
    let negotiation = content.negotiation.as_ref();
    TransferObject {
        number: index + 1,
        command: command.map(facts::verb).map(Text),
        argument: command.map(facts::argument).filter(|argument| !argument.is_empty()).map(Text),
        mode: facts::mode(content),
        endpoint: negotiation.and_then(|negotiation| facts::endpoint(view, negotiation)).map(EndpointObject::from),
        data_connection: facts::data_connection(&case).map(DataConnection::from),
        replies: facts::replies(view, content).map(|reply| reply_object(view, reply)).collect(),
        outcome: names::outcome(*outcome),
        diagnosis: diagnosis(case, verdict.as_ref()),
    }
}

#[derive(Serialize)]
struct DataConnection {
    opener: &'static str,
    source: Option<EndpointObject>,
    destination: Option<EndpointObject>,
    result: &'static str,
    syns: u16,
    bytes_to_server: u64,
    bytes_to_client: u64,
    closed_by: &'static str,
}

impl From<facts::DataConnection> for DataConnection {
    fn from(connection: facts::DataConnection) -> Self {
        DataConnection {
            opener: names::side(connection.opener),
            source: connection.source.map(EndpointObject::from),
            destination: connection.destination.map(EndpointObject::from),
            result: names::fate(connection.result),
            syns: connection.syns,
            bytes_to_server: connection.bytes_to_server,
            bytes_to_client: connection.bytes_to_client,
            closed_by: names::closed_by(connection.closed_by),
        }
    }
}

#[derive(Serialize)]
struct ReplyObject<'a> {
    code: u16,
    text: Cow<'a, str>,
}

fn reply_object<'a>(view: &'a View, reply: facts::Reply) -> ReplyObject<'a> {
    let text = match reply.text(view) {
        Cow::Borrowed(text) => String::from_utf8_lossy(text),
        Cow::Owned(text) => Cow::Owned(String::from_utf8_lossy(&text).into_owned()),
    };
    ReplyObject { code: reply.code, text }
}

#[derive(Serialize)]
struct Diagnosis<'a> {
    rule: &'static str,
    name: &'static str,
    summary: String,
    side: &'static str,
    stretch: Option<StretchObject<'a>>,
    device: Option<IpAddr>,
    mechanism: &'static str,
    lost: Option<&'static str>,
    netfilter: Option<NetfilterObject<'a>>,
    confidence: &'static str,
    evidence: Vec<EvidenceObject<'a>>,
    remedies: Vec<RemedyObject<'a>>,
}

fn diagnosis<'a>(case: Case<'a>, verdict: Option<&'a Verdict>) -> Option<Diagnosis<'a>> {
    let verdict = verdict?;
    let finding = &verdict.finding;
    Some(Diagnosis {
        rule: verdict.rule.id,
        name: verdict.rule.name,
        summary: summary(&case, verdict).english(),
        side: names::owner(verdict.owner),
        stretch: finding.stretch.map(|stretch| stretch_object(case, stretch)),
        device: finding.device,
        mechanism: names::mechanism(finding.mechanism),
        lost: finding.lost.map(names::lost),
        netfilter: verdict.netfilter.as_ref().map(netfilter_object),
        confidence: names::confidence(finding.confidence),
        evidence: by_time(case, &finding.evidence).map(|evidence| evidence_object(case, evidence)).collect(),
        remedies: verdict
            .remedies
            .iter()
            .map(|remedy| RemedyObject {
                on: remedy.on,
                text: remedy.text.english(),
                commands: remedy.commands.iter().map(|(_, command)| &**command).collect(),
            })
            .collect(),
    })
}

#[derive(Serialize)]
struct NetfilterObject<'a> {
    host: &'static str,
    family: String,
    table: &'a str,
    chain: &'a str,
    hook: Option<String>,
    rule: &'a str,
    handle: Option<u64>,
    position: Option<u32>,
    from: &'static str,
}

fn netfilter_object(named: &Named) -> NetfilterObject<'_> {
    let rule = &named.rule;
    NetfilterObject {
        host: names::host(named.on),
        family: rule.family.to_string(),
        table: &rule.table,
        chain: &rule.chain,
        hook: rule.hook.map(|hook| hook.to_string()),
        rule: &rule.text,
        handle: rule.handle,
        position: rule.position,
        from: names::witness(named.from),
    }
}

#[derive(Serialize)]
struct StretchObject<'a> {
    from: &'a str,
    to: &'a str,
}

fn stretch_object<'a>(case: Case<'a>, Stretch { from, to }: Stretch) -> StretchObject<'a> {
    let names = Names::of(case);
    StretchObject { from: names.point(from), to: names.point(to) }
}

#[derive(Serialize)]
struct EvidenceObject<'a> {
    tap: &'a str,
    frame: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    time: Option<Rfc3339>,
    text: String,
}

fn by_time<'a>(case: Case<'a>, evidence: &'a [Evidence]) -> impl Iterator<Item = &'a Evidence> {
    let mut evidence: Vec<&Evidence> = evidence.iter().collect();
    evidence.sort_by_key(|evidence| facts::moment(case.session, evidence));
    evidence.into_iter()
}

fn evidence_object<'a>(case: Case<'a>, evidence: &'a Evidence) -> EvidenceObject<'a> {
    let names = Names::of(case);
    let packet = evidence.at.filter(|_| evidence.source.is_none());
    EvidenceObject {
        tap: match evidence.source {
            Some(source) => words::source(source),
            None => names.tap(evidence.sight),
        },
        frame: packet.map(|at| at.frame),
        file: packet.and_then(|at| names.rotated(evidence.sight, at)),
        time: evidence.at.map(|at| at.time).or(evidence.until).map(Rfc3339),
        text: evidence.text.english(),
    }
}

#[derive(Serialize)]
struct RemedyObject<'a> {
    on: &'static str,
    text: String,
    commands: Vec<&'a str>,
}

/// Bytes that should be text; what is no UTF-8 becomes U+FFFD.
struct Text<'a>(&'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(self.0))
    }
}

#[cfg(test)]
mod tests;
