//! The table of rules: one row a rule, tried in order, the first that holds wins.
//!
//! To add a rule: a row here, a function in the family's file, a capture in `captures/`.

use crate::language::{Message, message};
use crate::verdict::case::Case;
use crate::verdict::{
    ControlOutcome, Finding, Outcome, control, negotiation, opening, sockets, transfer, unseen, view,
};

/// A row of the table.
#[derive(Debug)]
pub struct Rule {
    /// Family and number: C control connection, N negotiation, O opening of the data connection, T established transfer,
    /// V the view.
    pub id: &'static str,
    /// Name, stable.
    pub name: &'static str,
    /// What it says, one sentence.
    pub says: &'static Message,
    /// Why that follows from what was seen.
    pub because: &'static Message,
    /// The failure modes it covers (`docs/failures.md`).
    pub covers: &'static [&'static str],
    test: fn(&Case<'_>) -> Option<Finding>,
    asked: Asked,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Rule) -> bool {
        self.id == other.id
    }
}

/// When a rule is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Control,
    Failed,
    Both,
    Completed,
    Unfinished,
}

macro_rules! rules {
    ($($id:literal $name:literal $asked:ident $test:expr, $covers:expr, $says:literal, $because:literal;)*) => {
        /// All rules, in the order in which they are tried.
        pub static RULES: &[Rule] = &[$(Rule {
            id: $id, name: $name, says: message!($says), because: message!($because), covers: &$covers, test: $test, asked: Asked::$asked,
        }),*];
    };
}

rules! {
    "C6" "control-own-output-rejected" Control |case| opening::own_output_rejected(case, None), ["T11"],
        "The client's own host refuses to send the SYN of the control connection.",
        "The ICMP error goes from the client's address to itself and never leaves the host.";
    "C2" "control-syn-icmp" Control |case| opening::syn_icmp(case, None), ["T11"],
        "The SYN of the control connection is refused with an ICMP error.",
        "No TCP answers a closed port with ICMP: the address that signed the error filters, or found no way on.";
    "C3" "control-syn-reset" Control |case| opening::syn_reset(case, None), ["T11"],
        "The SYN of the control connection is answered with RST.",
        "Nobody listens on that port, or a rule rejects with tcp-reset; both look the same.";
    "C5" "control-syn-ack-unanswered" Control |case| opening::syn_ack_unanswered(case, None), ["T11"],
        "The SYN-ACK of the control connection is never acknowledged.",
        "It passed the last tap that saw it, and the client repeats its SYN as if nothing had come.";
    "C16" "control-syn-unseen" Control sockets::control_syn_unseen, ["T11"],
        "No interface of the client's own host shows the SYN of the control connection.",
        "A socket sends it again and again: a rule of the host's own drops it, or an IPsec policy hides what is lost on its way.";
    "C17" "control-accept-queue-full" Control sockets::accept_queue_full, ["T11"],
        "The SYN of the control connection is not answered, since the server's program does not accept those that came before.",
        "The listener's accept queue was full meanwhile: then the kernel drops every SYN.";
    "C1" "control-syn-unanswered" Control |case| opening::syn_unanswered(case, None), ["T09", "T11", "T16"],
        "The SYN of the control connection is never answered.",
        "A SYN that passed the last tap and got no SYN-ACK, RST or ICMP error was dropped beyond it, or its answer was.";
    "C12" "control-not-ftp" Control control::not_ftp, [],
        "What answers on the control port does not speak FTP.",
        "Its first line has no reply code.";
    "C13" "control-turned-away" Control control::turned_away, ["T08"],
        "The server itself turned the session away.",
        "A reply such as 421 or 530 is the program's own word; no firewall speaks FTP.";
    "C11" "control-no-greeting" Control control::no_greeting, ["T10"],
        "The control connection opens and the server says nothing.",
        "The handshake passed, so the port is open; the greeting was never sent, or lost.";
    "V9" "between-servers" Failed view::between_servers, [],
        "The data connection runs between two servers.",
        "Two sessions of one client name the same listener (RFC 959 5.2); their data does not pass between client and server.";
    "N1" "active-address-behind-nat" Failed negotiation::client_behind_nat, ["H09", "A01"],
        "The client announces an address at which the server does not see it.",
        "PORT and EPRT carry the client's own address in the text; a NAT that does not rewrite it leaves a wrong one.";
    "T5" "data-from-other-address" Failed transfer::wrong_source, ["P15", "P16"],
        "The server refuses the data connection because it comes from another address than the control connection.",
        "The data connection was established, and then the server's program refused it with 425.";
    "T4" "data-tls-refused" Failed transfer::tls_refused, ["T06"],
        "The server refuses the TLS of the data connection.",
        "The data connection was established; the reply speaks of TLS. Servers ask for a resumed session.";
    "N5" "negotiation-refused" Failed negotiation::refused_negotiation, ["P20", "P21", "A10", "A11", "T18"],
        "The server refuses to negotiate a data connection.",
        "The reply is the program's own word; no data connection was agreed upon, so none was dropped.";
    "C15" "session-already-over" Failed control::already_ended, ["T08"],
        "The server had ended the session before the transfer was asked for.",
        "421, or the server's FIN, stands before the client's command.";
    "T6" "refused-by-server" Failed transfer::refused_by_server, ["A09"],
        "The server refuses the transfer itself.",
        "The reply is the program's own word, about files, rights or its own sockets; no firewall speaks FTP.";
    "N3" "passive-address-hairpin" Failed negotiation::hairpin, ["P13"],
        "The server announces its public address to a client on its own side of the router.",
        "The client has to reach the public address from inside, which needs a router that turns such packets round.";
    "N2" "passive-address-unreachable" Failed negotiation::server_behind_nat, ["P11", "P14"],
        "The server announces an address at which the client does not reach it.",
        "The 227 carries the server's own idea of its address in the text; behind a NAT that is a private one.";
    "N4" "negotiation-rewritten" Failed negotiation::rewritten, ["P18", "A08"],
        "A box on the path rewrites the negotiation into something wrong.",
        "Two taps read different ports although the addresses are the same at both.";
    "O7" "data-own-output-rejected" Failed |case| opening::data(case, opening::own_output_rejected), ["P10"],
        "The opener's own host refuses to send the SYN of the data connection.",
        "The ICMP error goes from its address to itself and never leaves the host.";
    "O2" "data-syn-icmp" Failed |case| opening::data(case, opening::syn_icmp), ["P02", "P05", "A03", "A05"],
        "The SYN of the data connection is refused with an ICMP error.",
        "No TCP answers a closed port with ICMP: the address that signed the error filters, or found no way on.";
    "O4" "data-syn-reset-forged" Failed |case| opening::data(case, opening::syn_reset_forged), ["P04", "P14", "P16", "A05"],
        "A box on the path answers the SYN of the data connection with RST in the listener's name.",
        "The RST comes over another number of routers than the listener's other packets, or never passed a tap between.";
    "O3" "data-syn-reset" Failed |case| opening::data(case, opening::syn_reset), ["P03", "P14", "P16", "P17", "A03"],
        "The listener's host answers the SYN of the data connection with RST.",
        "The RST comes over as many routers as its other packets: a closed port, or a rule that rejects with tcp-reset.";
    "O6" "data-syn-ack-unanswered" Failed |case| opening::data(case, opening::syn_ack_unanswered), ["P07", "P08"],
        "The SYN-ACK of the data connection is never acknowledged.",
        "It passed the last tap that saw it, and the opener repeats its SYN as if nothing had come.";
    "O5" "data-syn-unanswered" Failed |case| opening::data(case, opening::syn_unanswered), ["P01", "P06", "P16", "P17", "H01", "H02", "H03", "H04", "H05", "H08", "H09", "H10", "H14", "H15", "H16", "A02", "A04", "T07", "T16"],
        "The SYN of the data connection is never answered.",
        "A SYN that passed the last tap and got no SYN-ACK, RST or ICMP error was dropped beyond it, or its answer was.";
    "T3" "data-reset" Failed transfer::data_reset, ["T03", "T05"],
        "The established data connection is reset.",
        "A RST came before the sender was done; its TTL tells whether its address really sent it.";
    "T2" "data-path-mtu" Failed transfer::path_mtu, ["T04", "T14"],
        "Full-size segments of the data connection vanish.",
        "The handshake and small segments pass, the same full-size segment is sent again and again.";
    "T1" "data-segments-lost" Failed transfer::data_lost, ["T02", "T14"],
        "Segments of the data connection vanish from some moment on.",
        "They are sent again and again and never acknowledged.";
    "C7" "control-segments-lost" Both control::segments_lost, ["H06", "H07", "H11", "H12", "T01", "T09", "T12", "T13"],
        "Segments of the control connection vanish.",
        "They are sent again and never acknowledged, or a box on the path resets the connection in an end's name.";
    "C10" "final-reply-missing" Failed control::final_reply_missing, ["T01", "T12"],
        "The file went through, and the final reply never comes.",
        "The data connection closed in order; a box that forgot the silent control connection drops what follows.";
    "T8" "data-silent" Failed transfer::data_silent, ["T02", "T15"],
        "The data stop coming.",
        "What came was acknowledged; whether more was sent is not visible from here.";
    "T7" "ended-by-server" Failed transfer::ended_by_server, ["T05", "T07"],
        "The server ends a transfer that was under way.",
        "The data connection was up and shows no loss; the reply is the program's own word.";
    "O1" "data-syn-unseen" Failed unseen::data_syn_unseen, ["P06", "P09", "P10", "A04", "A05", "A06"],
        "The SYN that should have opened the data connection is seen nowhere.",
        "It was stopped before the first tap that it would have reached, or never sent.";
    "C14" "control-reset" Both control::reset_by_server, ["T05", "T12"],
        "The server's host resets the control connection.",
        "The RST comes over as many routers as its other packets.";
    "V3" "packets-missing" Failed view::packets_missing, [],
        "The capture misses packets.",
        "What was not captured cannot be told from what was dropped.";
    "V4" "one-direction" Failed view::one_direction, [],
        "Only one direction was captured.",
        "Whether a packet was answered cannot be seen.";
    "V6" "perhaps-not-captured" Failed view::perhaps_filtered, [],
        "The data connection is nowhere in the capture.",
        "A capture filter that keeps only the control port hides every data connection.";
    "V8" "encrypted-no-data" Control view::encrypted_and_nothing_else, ["H10", "T17"],
        "The session is encrypted and shows no data connection.",
        "Whether a transfer was tried, and what became of it, cannot be read.";
    "N6" "foreign-address-ignored" Completed negotiation::foreign_address_ignored, ["P12"],
        "The server announces an unreachable address, and the client ignores it.",
        "The data connection went to the control connection's address instead.";
    "V1" "data-not-captured" Completed view::data_not_captured, [],
        "The transfer went through; its data connection was not captured.",
        "A positive final reply and no data connection: the capture left it out.";
    "V2" "capture-ends" Unfinished view::capture_ends, [],
        "The capture ends too early.",
        "Neither end had given up when it ended.";
    "V7" "cannot-tell" Failed view::cannot_tell, [],
        "Nothing that was captured tells why this failed.",
        "No rule before this one holds.";
}

/// The first rule that holds for the control connection.
pub(super) fn for_control(case: &Case<'_>, outcome: ControlOutcome) -> Option<(&'static Rule, Finding)> {
    match outcome {
        ControlOutcome::Unfinished => None,
        ControlOutcome::Completed | ControlOutcome::Failed | ControlOutcome::Interrupted => {
            first(case, &[Asked::Control, Asked::Both])
        }
    }
}

/// The first rule that holds for a transfer that ended so.
pub(super) fn for_transfer(case: &Case<'_>, outcome: Outcome) -> Option<(&'static Rule, Finding)> {
    match outcome {
        Outcome::Failed => first(case, &[Asked::Failed, Asked::Both]),
        Outcome::Completed => first(case, &[Asked::Completed]),
        Outcome::Unfinished => first(case, &[Asked::Unfinished]),
        Outcome::Aborted | Outcome::Unknown => None,
    }
}

fn first(case: &Case<'_>, asked: &[Asked]) -> Option<(&'static Rule, Finding)> {
    let rules = RULES.iter().filter(|rule| asked.contains(&rule.asked));
    rules.map(|rule| (rule, (rule.test)(case))).find_map(|(rule, found)| Some((rule, found?)))
}
