//! Words for whose side it is, how it ended, how sure that is, and who says so.

use crate::language::{Message, message};
use crate::line::Owner;
use crate::verdict::{Confidence, Outcome, Source};

/// How the word of a tap's own host is cited, where a packet would be by its tap.
pub(in crate::report) fn source(source: Source) -> &'static str {
    match source {
        Source::Trace => "nft:trace",
        Source::Rules => "rules",
        Source::Sockets => "socket",
        Source::Connections => "conntrack",
    }
}

/// Whose side, in the summary line.
pub(in crate::report) fn owner(owner: Owner) -> &'static Message {
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
pub(in crate::report) fn outcome(outcome: Outcome) -> &'static Message {
    match outcome {
        Outcome::Completed => message!("completed"),
        Outcome::Failed => message!("failed"),
        Outcome::Aborted => message!("aborted"),
        Outcome::Unfinished => message!("unfinished"),
        Outcome::Unknown => message!("unknown"),
    }
}

/// How sure a verdict is.
pub(in crate::report) fn confidence(confidence: Confidence) -> &'static Message {
    match confidence {
        Confidence::Certain => message!("certain"),
        Confidence::Likely => message!("likely"),
        Confidence::Possible => message!("possible"),
    }
}
