//! The closed lists of the machine-readable form: one function a list.

use crate::line::{Owner, Place, Side};
use crate::netfilter::Witness;
use crate::report::facts::{ClosedBy, Fate};
use crate::session::place::{Standing, Why};
use crate::session::view::EventKind;
use crate::verdict::{Confidence, ControlOutcome, Lost, Mechanism, Outcome};

pub(super) fn side(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

pub(super) fn place(place: Place) -> &'static str {
    match place {
        Place::Client => "client",
        Place::Between => "between",
        Place::Server => "server",
        Place::Unknown => "unknown",
    }
}

pub(super) fn place_from(standing: &Standing) -> &'static str {
    match (standing.given, standing.why) {
        (_, Why::Own) => "live",
        (true, _) => "given",
        (false, _) => "inferred",
    }
}

pub(super) fn owner(owner: Owner) -> &'static str {
    match owner {
        Owner::Client => "client",
        Owner::Network => "network",
        Owner::Server => "server",
        Owner::BeyondClient => "beyond-client",
        Owner::BeyondServer => "beyond-server",
        Owner::None => "none",
        Owner::Unknown => "unknown",
    }
}

pub(super) fn host(on: Place) -> &'static str {
    match on {
        Place::Client => "client",
        Place::Server => "server",
        Place::Between | Place::Unknown => "router",
    }
}

pub(super) fn witness(witness: Witness) -> &'static str {
    match witness {
        Witness::Trace => "trace",
        Witness::Counter => "counter",
        Witness::Ruleset => "ruleset",
    }
}

pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Failed => "failed",
        Outcome::Aborted => "aborted",
        Outcome::Unfinished => "unfinished",
        Outcome::Unknown => "unknown",
    }
}

pub(super) fn control(outcome: ControlOutcome) -> &'static str {
    match outcome {
        ControlOutcome::Completed => "completed",
        ControlOutcome::Failed => "failed",
        ControlOutcome::Interrupted => "interrupted",
        ControlOutcome::Unfinished => "unfinished",
    }
}

pub(super) fn mechanism(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::SilentDrop => "silent-drop",
        Mechanism::IcmpReject => "icmp-reject",
        Mechanism::TcpReset => "tcp-reset",
        Mechanism::NeverSent => "never-sent",
        Mechanism::UnreachableAddress => "unreachable-address",
        Mechanism::RefusedByServer => "refused-by-server",
        Mechanism::Stalled => "stalled",
        Mechanism::PathMtu => "path-mtu",
        Mechanism::IdleExpiry => "idle-expiry",
        Mechanism::Interrupted => "interrupted",
        Mechanism::Encrypted => "encrypted",
        Mechanism::IncompleteCapture => "incomplete-capture",
    }
}

pub(super) fn lost(lost: Lost) -> &'static str {
    match lost {
        Lost::ControlSyn => "control-syn",
        Lost::ControlSynAck => "control-syn-ack",
        Lost::ControlSegments => "control-segments",
        Lost::DataSyn => "data-syn",
        Lost::DataSynAck => "data-syn-ack",
        Lost::DataSegments => "data-segments",
    }
}

pub(super) fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Certain => "certain",
        Confidence::Likely => "likely",
        Confidence::Possible => "possible",
    }
}

pub(super) fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Established => "established",
        Fate::Unanswered => "unanswered",
        Fate::Reset => "reset",
        Fate::IcmpError => "icmp-error",
        Fate::NotSeen => "not-seen",
    }
}

pub(super) fn closed_by(closed_by: ClosedBy) -> &'static str {
    match closed_by {
        ClosedBy::Fin => "fin",
        ClosedBy::Rst => "rst",
        ClosedBy::None => "none",
    }
}

pub(super) fn event(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Syn | EventKind::SynAgain => "syn",
        EventKind::SynAck | EventKind::SynAckAgain => "syn-ack",
        EventKind::Established => "established",
        EventKind::Fin | EventKind::FinAgain => "fin",
        EventKind::Reset => "rst",
        EventKind::Icmp => "icmp",
        EventKind::Command => "command",
        EventKind::ReplyPart | EventKind::Reply(_) => "reply",
        EventKind::Stray | EventKind::Resent | EventKind::Gap | EventKind::Encrypted | EventKind::Clear => "note",
    }
}
