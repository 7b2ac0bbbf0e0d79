//! The closed lists of the forms for programs: one function a list. `docs/session.schema.json` has the same words.

use crate::line::{Owner, Place, Side};
use crate::netfilter::Witness;
use crate::report::facts::{ClosedBy, Fate};
use crate::session::place::{Standing, Why};
use crate::session::view::EventKind;
use crate::verdict::{Confidence, ControlOutcome, Lost, Mechanism, Outcome};

macro_rules! names {
    ($($name:ident($value:ident: $type:ty) { $($pattern:pat => $word:literal,)* })*) => {
        $(pub(super) fn $name($value: $type) -> &'static str {
            match $value {
                $($pattern => $word,)*
            }
        })*

        /// The words of each list, by the name of its function.
        #[cfg(test)]
        pub(super) const LISTS: &[(&str, &[&str])] = &[$((stringify!($name), &[$($word),*])),*];
    };
}

names! {
    side(side: Side) {
        Side::Client => "client",
        Side::Server => "server",
    }

    place(place: Place) {
        Place::Client => "client",
        Place::Between => "between",
        Place::Server => "server",
        Place::Unknown => "unknown",
    }

    place_from(standing: &Standing) {
        Standing { why: Why::Own, .. } => "live",
        Standing { given: true, .. } => "given",
        Standing { .. } => "inferred",
    }

    owner(owner: Owner) {
        Owner::Client => "client",
        Owner::Network => "network",
        Owner::Server => "server",
        Owner::BeyondClient => "beyond-client",
        Owner::BeyondServer => "beyond-server",
        Owner::None => "none",
        Owner::Unknown => "unknown",
    }

    host(on: Place) {
        Place::Client => "client",
        Place::Server => "server",
        Place::Between | Place::Unknown => "router",
    }

    witness(witness: Witness) {
        Witness::Trace => "trace",
        Witness::Counter => "counter",
        Witness::Ruleset => "ruleset",
    }

    outcome(outcome: Outcome) {
        Outcome::Completed => "completed",
        Outcome::Failed => "failed",
        Outcome::Aborted => "aborted",
        Outcome::Unfinished => "unfinished",
        Outcome::Unknown => "unknown",
    }

    control(outcome: ControlOutcome) {
        ControlOutcome::Completed => "completed",
        ControlOutcome::Failed => "failed",
        ControlOutcome::Interrupted => "interrupted",
        ControlOutcome::Unfinished => "unfinished",
    }

    mechanism(mechanism: Mechanism) {
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

    lost(lost: Lost) {
        Lost::ControlSyn => "control-syn",
        Lost::ControlSynAck => "control-syn-ack",
        Lost::ControlSegments => "control-segments",
        Lost::DataSyn => "data-syn",
        Lost::DataSynAck => "data-syn-ack",
        Lost::DataSegments => "data-segments",
    }

    confidence(confidence: Confidence) {
        Confidence::Certain => "certain",
        Confidence::Likely => "likely",
        Confidence::Possible => "possible",
    }

    fate(fate: Fate) {
        Fate::Established => "established",
        Fate::Unanswered => "unanswered",
        Fate::Reset => "reset",
        Fate::IcmpError => "icmp-error",
        Fate::NotSeen => "not-seen",
    }

    closed_by(closed_by: ClosedBy) {
        ClosedBy::Fin => "fin",
        ClosedBy::Rst => "rst",
        ClosedBy::None => "none",
    }

    event(kind: EventKind) {
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
