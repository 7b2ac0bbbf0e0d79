//! From the kernel's trace messages to the packets that were dropped, and by which rule.
//!
//! Read first: nft(8), "MONITOR"; `enum nft_trace_attributes` in `linux/netfilter/nf_tables.h`; `net/netfilter/nf_tables_trace.c`
//! of Linux. A traced packet yields a record for each rule that it matches and for each policy that it meets. The first
//! record in each base chain carries its headers; the others only its id, and records of several packets mix.

use std::collections::HashMap;
use std::mem;

use super::headers::Headers;
use super::netlink::{Message, attributes, long_number, messages, number, string};
use super::{Dropped, Family, Rule, Tool, Witness};
use crate::cite::Time;

/// `NFNL_SUBSYS_NFTABLES`, `NFT_MSG_TRACE`.
const TRACE: u16 = 10 << 8 | 17;

// `NFTA_TRACE_*`
const TABLE: u16 = 1;
const CHAIN: u16 = 2;
const RULE_HANDLE: u16 = 3;
const TYPE: u16 = 4;
const VERDICT: u16 = 5;
const ID: u16 = 6;
const NETWORK_HEADER: u16 = 8;
const TRANSPORT_HEADER: u16 = 9;
const IIF: u16 = 10;
const OIF: u16 = 12;
const POLICY: u16 = 16;

// `NFTA_VERDICT_*`
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;

/// `NFT_TRACETYPE_POLICY`: the policy of the base chain decided.
const BY_POLICY: u32 = 1;
/// `NF_DROP`. A rule that rejects ends with it, too.
const DROP: u32 = 0;

/// Traced packets that are remembered: two generations of this many, a few hundred bytes each. A packet is through in
/// microseconds unless a program has it queued; tracing is limited to some thousand packets a second.
const GENERATION: usize = 4096;

/// One record, as it stands in a message.
#[derive(Clone, Copy, Debug, Default)]
struct Record<'a> {
    id: u32,
    table: &'a str,
    chain: &'a str,
    handle: Option<u64>,
    kind: u32,
    /// The code of the verdict, or of the policy that decided.
    code: Option<u32>,
    /// The chain that the verdict leads to.
    to_chain: Option<&'a str>,
    network_header: &'a [u8],
    transport_header: &'a [u8],
    inbound: Option<u32>,
    outbound: Option<u32>,
}

impl<'a> Record<'a> {
    /// None without an id, a table and a chain.
    fn read(message: &Message<'a>) -> Option<Record<'a>> {
        let mut record = Record::default();
        let mut id = None;
        for (kind, value) in attributes(message.attributes) {
            match kind {
                TABLE => record.table = string(value)?,
                CHAIN => record.chain = string(value)?,
                RULE_HANDLE => record.handle = Some(long_number(value)?),
                TYPE => record.kind = number(value)?,
                ID => id = Some(number(value)?),
                VERDICT => (record.code, record.to_chain) = verdict(value),
                POLICY => record.code = Some(number(value)?),
                NETWORK_HEADER => record.network_header = value,
                TRANSPORT_HEADER => record.transport_header = value,
                IIF => record.inbound = number(value),
                OIF => record.outbound = number(value),
                _ => {}
            }
        }
        let is_named = !record.table.is_empty() && !record.chain.is_empty();
        id.filter(|_| is_named).map(|id| Record { id, ..record })
    }

    /// The packet whose headers it carries. The kernel gives no more than 40 bytes of the IP header: not all of an IPv4
    /// header with many options.
    fn packet(&self) -> Option<Headers> {
        let first = *self.network_header.first()?;
        let is_cut = first >> 4 == 4 && usize::from(first & 15) * 4 != self.network_header.len();
        if is_cut { None } else { Headers::read(&[self.network_header, self.transport_header].concat()) }
    }

    fn is_drop(&self) -> bool {
        self.code == Some(DROP) && (self.handle.is_some() || self.kind == BY_POLICY)
    }
}

/// The code of a verdict and the chain that it leads to.
fn verdict(nested: &[u8]) -> (Option<u32>, Option<&str>) {
    attributes(nested).fold((None, None), |(code, chain), (kind, value)| match kind {
        VERDICT_CODE => (number(value), chain),
        VERDICT_CHAIN => (code, string(value)),
        _ => (code, chain),
    })
}

/// A packet on its way through the chains.
#[derive(Debug)]
struct Traversal {
    /// As it came to this host.
    first: Headers,
    /// As it came to the base chain that it is in.
    now: Headers,
    base_chain: String,
    inbound: Option<u32>,
    outbound: Option<u32>,
    /// The rule that last led it into a chain without a name of its own, with that rule's chain.
    by_jump: Option<(String, u64)>,
}

/// Follows traced packets through the chains.
///
/// Its memory is bounded: of many packets at once, those are forgotten that were heard of least recently.
#[derive(Debug, Default)]
pub struct Trace {
    young: HashMap<u32, Traversal>,
    old: HashMap<u32, Traversal>,
    unreadable: u64,
    unknown: u64,
}

impl Trace {
    /// Nothing traced yet.
    pub fn new() -> Trace {
        Trace::default()
    }

    /// Takes a datagram of the group `NFNLGRP_NFTRACE`, read at `now`; the packet that was dropped, if it says so.
    ///
    /// The rule is known by table, chain and handle only; [`super::ruleset::Ruleset::resolve`] tells the rest.
    pub fn observe(&mut self, now: Time, datagram: &[u8]) -> Vec<Dropped> {
        messages(datagram).filter_map(|message| self.message(now, message)).collect()
    }

    /// How many messages could not be read.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// How many drops are not told: those of packets of another kind, and those whose headers were not seen.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    fn message(&mut self, now: Time, message: Option<Message<'_>>) -> Option<Dropped> {
        let Some(message) = message else {
            self.unreadable += 1;
            return None;
        };
        if message.kind != TRACE {
            return None;
        }
        let read = Record::read(&message).zip(Family::of_number(message.family));
        let Some((record, family)) = read else {
            self.unreadable += 1;
            return None;
        };
        self.begin(&record);
        self.follow(now, family, &record)
    }

    /// Notes the headers of a packet that enters a base chain.
    fn begin(&mut self, record: &Record<'_>) {
        if record.network_header.is_empty() {
            return;
        }
        let known = self.young.remove(&record.id).or_else(|| self.old.remove(&record.id));
        let Some(headers) = record.packet() else { return };
        // Ids are used again: another packet begins anew.
        let is_same = |packet: &Traversal| packet.now.kind == headers.kind;
        let known = known.filter(is_same);
        let first = known.as_ref().map_or(headers, |packet| packet.first);
        let inbound = record.inbound.or(known.as_ref().and_then(|packet| packet.inbound));
        if self.young.len() == GENERATION {
            self.old = mem::take(&mut self.young);
        }
        let base_chain = record.chain.to_owned();
        let outbound = record.outbound;
        self.young.insert(record.id, Traversal { first, now: headers, base_chain, inbound, outbound, by_jump: None });
    }

    /// The packet, if this record is its end.
    fn follow(&mut self, time: Time, family: Family, record: &Record<'_>) -> Option<Dropped> {
        if record.is_drop() {
            let packet = self.young.remove(&record.id).or_else(|| self.old.remove(&record.id));
            self.unknown += u64::from(packet.is_none());
            return packet.map(|packet| dropped(time, family, record, packet));
        }
        let jump = record.handle.filter(|_| record.to_chain.is_some_and(is_anonymous));
        if let Some(handle) = jump
            && let Some(packet) = self.young.get_mut(&record.id).or_else(|| self.old.get_mut(&record.id))
        {
            packet.by_jump = Some((record.chain.to_owned(), handle));
        }
        None
    }
}

/// Whether a chain is part of a rule (`jump { ... }`): no tool lists it by the name that the kernel gives it.
fn is_anonymous(chain: &str) -> bool {
    chain.starts_with("__chain")
}

fn dropped(time: Time, family: Family, record: &Record<'_>, packet: Traversal) -> Dropped {
    let (chain, handle) = match packet.by_jump {
        Some((chain, handle)) if is_anonymous(record.chain) => (chain, Some(handle)),
        _ => (record.chain.to_owned(), record.handle),
    };
    let rule = Rule {
        tool: Tool::Nft,
        family,
        table: record.table.to_owned(),
        chain,
        base_chain: packet.base_chain,
        hook: None,
        handle,
        position: None,
        text: if handle.is_none() { "policy drop".to_owned() } else { String::new() },
    };
    Dropped {
        time,
        source: packet.first.ends.0,
        destination: packet.first.ends.1,
        translated: (packet.now.ends != packet.first.ends).then_some(packet.now.ends),
        kind: packet.now.kind,
        inbound: packet.inbound,
        outbound: packet.outbound,
        rule,
        from: Witness::Trace,
    }
}

#[cfg(test)]
mod tests;
