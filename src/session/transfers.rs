//! What the lines of a conversation mean for the transfers of a view. Read RFC 959 section 5.4 first.

use crate::ftp::helper::Ruling;
use crate::ftp::host_port::HostPort;
use crate::session::view::{Mode, Negotiation, Transfer, View};

/// This command is a transfer whose preliminary reply came and whose final one has not.
pub(super) fn is_under_way(view: &View, command: u32) -> bool {
    let transfer = view.transfers.iter().rev().find(|transfer| transfer.command == Some(command));
    transfer.is_some_and(|transfer| transfer.preliminary.is_some() && transfer.reply.is_none())
}

/// The reply that announces a listener was captured right before its command: the two belong together.
pub(super) fn answers_before(view: &mut View, command: u32) -> bool {
    let close = view.transfers.last().and_then(|transfer| transfer.negotiation.as_ref()).is_some_and(|negotiation| {
        negotiation.reply == Some(negotiation.command) && view.is_close(negotiation.command, command)
    });
    if let Some(negotiation) = view.transfers.last_mut().and_then(|transfer| transfer.negotiation.as_mut())
        && close
    {
        negotiation.command = command;
    }
    close
}

pub(super) fn begin_negotiation(
    view: &mut View,
    mode: Mode,
    command: u32,
    offered: Option<HostPort>,
    helper: Option<Ruling>,
) {
    let negotiation = Negotiation { mode, command, reply: None, code: 0, offered, helper };
    let last = view.transfers.len().wrapping_sub(1);
    let tried = |transfer: &Transfer| transfer.negotiation.as_ref().is_some_and(Negotiation::tells_of_failure);
    let used =
        view.transfers.last().is_none_or(|transfer| transfer.command.is_some() || transfer.inferred || tried(transfer))
            || view.attempts.last().is_some_and(|attempt| usize::from(attempt.transfer) == last);
    if used {
        view.add_transfer(Transfer { negotiation: Some(negotiation), ..Transfer::default() });
    } else if let Some(transfer) = view.transfers.last_mut()
        && let Some(old) = transfer.negotiation.replace(negotiation)
    {
        transfer.superseded.push(old);
    }
}

pub(super) fn begin_transfer(view: &mut View, command: u32) {
    match view.transfers.last_mut() {
        Some(transfer) if transfer.command.is_none() && !transfer.inferred => transfer.command = Some(command),
        _ => view.add_transfer(Transfer { command: Some(command), ..Transfer::default() }),
    }
}

pub(super) fn abort(view: &mut View, index: u32) {
    if let Some(transfer) = view.transfers.last_mut()
        && transfer.command.is_some()
        && transfer.reply.is_none()
    {
        transfer.abort = Some(index);
    }
}

pub(super) fn preliminary(view: &mut View, command: Option<u32>, index: u32) {
    if let Some(transfer) = view.transfers.iter_mut().rev().find(|t| command.is_none() || t.command == command) {
        transfer.preliminary.get_or_insert(index);
    }
}

pub(super) fn transferred(view: &mut View, command: Option<u32>, index: u32, code: u16) {
    if let Some(transfer) = view.transfers.iter_mut().rev().find(|transfer| transfer.command == command) {
        transfer.reply = Some(index);
        transfer.code = code;
    }
}

pub(super) fn negotiated(
    view: &mut View,
    command: Option<u32>,
    index: u32,
    code: u16,
    offered: Option<HostPort>,
    helper: Option<Ruling>,
) {
    let negotiations = view.transfers.iter_mut().rev().filter_map(|transfer| transfer.negotiation.as_mut());
    if let Some(negotiation) = negotiations.into_iter().find(|negotiation| Some(negotiation.command) == command) {
        negotiation.reply = Some(index);
        negotiation.code = code;
        if offered.is_some() {
            negotiation.offered = offered;
            negotiation.helper = helper;
        }
    }
}

/// A reply that no command in sight asked for ends a transfer that is under way, if it is of that kind.
pub(super) fn unasked(view: &mut View, index: u32, code: u16) {
    if let Some(transfer) = view.transfers.last_mut()
        && matches!(code, 226 | 250 | 425 | 426 | 451 | 452 | 550 | 552)
        && transfer.reply.is_none()
    {
        transfer.reply = Some(index);
        transfer.code = code;
    }
}
