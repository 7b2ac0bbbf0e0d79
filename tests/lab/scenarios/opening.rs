//! Connections that a rule keeps from opening: each leg of the handshake, at each host, in each way.
//!
//! A row: failure mode; routers and whether IPv6; where, in which chain, what happens to which packet; the tool that loads
//! the rule; server and client; mode and transfer. Programs, tools and modes change from row to row.

use ftpwhy::verdict::Lost::{self, *};
use ftpwhy::verdict::Mechanism;

use crate::client::Does::{self, *};
use crate::client::Mode::{self, *};
use crate::client::Program::{self as ClientProgram, *};
use crate::files::{BIG, MID, SMALL};
use crate::firewall::Tool::{self, *};
use crate::line::At::{self, *};
use crate::line::Line;
use crate::scenario::Scenario;
use crate::scenarios::rules::{Fate, Icmp, no_control_syn_ack, no_data_syn_ack, only};
use crate::server::Program::{self as ServerProgram, *};

type Row =
    (&'static str, (usize, bool), (At, &'static str, Fate, Lost), Tool, (ServerProgram, ClientProgram), (Mode, Does));

const DROP: Fate = Fate::Drop;
const RESET: Fate = Fate::Reset;
const PORT: Fate = Fate::Reject(Icmp::Port);
const HOST: Fate = Fate::Reject(Icmp::Host);
const NET: Fate = Fate::Reject(Icmp::Net);
const ADMIN: Fate = Fate::Reject(Icmp::Admin);

/// Passive data connections.
const PASSIVE: &[Row] = &[
    ("P01", (1, false), (Server, "input", DROP, DataSyn), Nft, (Vsftpd, Lftp), (Pasv, List)),
    ("P01", (2, true), (Server, "input", DROP, DataSyn), IptablesNft, (PureFtpd, Curl), (Epsv, Get(SMALL))),
    ("P01", (0, false), (Server, "input", DROP, DataSyn), IptablesLegacy, (Proftpd, Tnftp), (Pasv, Put(MID))),
    ("P01", (2, false), (Server, "output", DROP, DataSynAck), Nft, (Pyftpdlib, Inetutils), (Pasv, Get(BIG))),
    ("P01", (1, true), (Server, "output", DROP, DataSynAck), IptablesNft, (Vsftpd, Ftplib), (Epsv, List)),
    ("P02", (2, false), (Server, "output", ADMIN, DataSynAck), Nft, (Vsftpd, Curl), (Pasv, Get(SMALL))),
    ("P06", (2, false), (Router(1), "forward", DROP, DataSyn), IptablesLegacy, (PureFtpd, Lftp), (Epsv, Get(SMALL))),
    ("P06", (2, true), (Router(1), "forward", DROP, DataSyn), Nft, (Proftpd, Curl), (Epsv, Put(SMALL))),
    ("P06", (2, false), (Router(0), "forward", DROP, DataSyn), IptablesNft, (Pyftpdlib, Tnftp), (Pasv, List)),
    ("P06", (1, false), (Router(0), "forward", DROP, DataSyn), Nft, (Vsftpd, Inetutils), (Epsv, Get(MID))),
    ("P06", (1, true), (Router(0), "forward", DROP, DataSyn), IptablesLegacy, (PureFtpd, Ftplib), (Epsv, Put(BIG))),
    ("P07", (2, false), (Router(1), "forward", DROP, DataSynAck), Nft, (Vsftpd, Curl), (Pasv, List)),
    ("P07", (2, false), (Router(0), "forward", DROP, DataSynAck), IptablesNft, (Proftpd, Ftplib), (Pasv, Get(SMALL))),
    ("P07", (2, true), (Router(0), "forward", DROP, DataSynAck), IptablesLegacy, (PureFtpd, Lftp), (Epsv, Put(MID))),
    ("P07", (1, false), (Router(0), "forward", DROP, DataSynAck), Nft, (Pyftpdlib, Tnftp), (Epsv, List)),
    ("P09", (1, false), (Client, "output", DROP, DataSyn), IptablesLegacy, (Proftpd, Ftplib), (Pasv, Put(MID))),
    ("P09", (2, true), (Client, "output", DROP, DataSyn), Nft, (Vsftpd, Lftp), (Epsv, Get(SMALL))),
    ("P08", (0, false), (Client, "input", DROP, DataSynAck), IptablesNft, (Vsftpd, Curl), (Epsv, List)),
    ("P08", (1, true), (Client, "input", DROP, DataSynAck), Nft, (Proftpd, Tnftp), (Epsv, Get(SMALL))),
    (
        "P08",
        (2, false),
        (Client, "input", DROP, DataSynAck),
        IptablesLegacy,
        (Pyftpdlib, Inetutils),
        (Pasv, Put(SMALL)),
    ),
    ("P10", (1, false), (Client, "output", PORT, DataSyn), Nft, (Vsftpd, Tnftp), (Pasv, List)),
    ("P10", (2, false), (Client, "output", RESET, DataSyn), IptablesNft, (PureFtpd, Ftplib), (Pasv, Get(SMALL))),
    ("P10", (1, true), (Client, "output", ADMIN, DataSyn), IptablesLegacy, (Pyftpdlib, Curl), (Epsv, Put(SMALL))),
    ("P02", (1, false), (Server, "input", PORT, DataSyn), IptablesNft, (Vsftpd, Ftplib), (Pasv, Get(SMALL))),
    ("P02", (2, false), (Server, "input", HOST, DataSyn), IptablesLegacy, (Proftpd, Lftp), (Epsv, List)),
    ("P02", (0, false), (Server, "input", ADMIN, DataSyn), Nft, (PureFtpd, Inetutils), (Pasv, Put(MID))),
    ("P02", (1, true), (Server, "input", PORT, DataSyn), Nft, (Pyftpdlib, Tnftp), (Epsv, Get(SMALL))),
    ("P02", (2, true), (Server, "input", ADMIN, DataSyn), IptablesNft, (Vsftpd, Curl), (Epsv, List)),
    ("P03", (2, false), (Server, "input", RESET, DataSyn), Nft, (Vsftpd, Lftp), (Pasv, Put(SMALL))),
    ("P03", (1, true), (Server, "input", RESET, DataSyn), IptablesLegacy, (Proftpd, Inetutils), (Epsv, List)),
    ("P05", (2, false), (Router(1), "forward", PORT, DataSyn), Nft, (Proftpd, Curl), (Pasv, Get(SMALL))),
    ("P05", (2, false), (Router(0), "forward", HOST, DataSyn), IptablesLegacy, (Vsftpd, Tnftp), (Epsv, Put(SMALL))),
    ("P05", (1, false), (Router(0), "forward", NET, DataSyn), IptablesNft, (Pyftpdlib, Lftp), (Pasv, List)),
    ("P05", (2, true), (Router(1), "forward", ADMIN, DataSyn), Nft, (PureFtpd, Ftplib), (Epsv, Get(SMALL))),
    ("P05", (1, true), (Router(0), "forward", NET, DataSyn), IptablesNft, (Vsftpd, Inetutils), (Epsv, List)),
    ("P04", (2, false), (Router(1), "forward", RESET, DataSyn), IptablesLegacy, (Vsftpd, Ftplib), (Epsv, List)),
    ("P04", (1, false), (Router(0), "forward", RESET, DataSyn), Nft, (PureFtpd, Curl), (Pasv, Get(MID))),
    ("P04", (2, true), (Router(0), "forward", RESET, DataSyn), IptablesNft, (Proftpd, Tnftp), (Epsv, Put(SMALL))),
];

/// Active data connections.
const ACTIVE: &[Row] = &[
    ("A02", (1, false), (Client, "input", DROP, DataSyn), IptablesNft, (Vsftpd, Tnftp), (Port, List)),
    ("A02", (2, false), (Client, "input", DROP, DataSyn), Nft, (PureFtpd, Lftp), (Port, Get(SMALL))),
    ("A02", (2, true), (Client, "input", DROP, DataSyn), IptablesLegacy, (Proftpd, Curl), (Eprt, Put(SMALL))),
    ("A02", (1, false), (Client, "output", DROP, DataSynAck), Nft, (Proftpd, Inetutils), (Port, List)),
    ("A03", (1, false), (Client, "input", PORT, DataSyn), IptablesLegacy, (Proftpd, Lftp), (Port, List)),
    ("A03", (2, false), (Client, "input", HOST, DataSyn), Nft, (Pyftpdlib, Tnftp), (Port, Put(SMALL))),
    ("A03", (0, false), (Client, "input", ADMIN, DataSyn), IptablesNft, (PureFtpd, Curl), (Eprt, Get(SMALL))),
    ("A03", (1, false), (Client, "input", RESET, DataSyn), Nft, (Vsftpd, Ftplib), (Eprt, List)),
    ("A03", (2, true), (Client, "input", PORT, DataSyn), IptablesNft, (Vsftpd, Lftp), (Eprt, Get(MID))),
    ("A03", (1, true), (Client, "input", RESET, DataSyn), IptablesLegacy, (Pyftpdlib, Ftplib), (Eprt, Put(SMALL))),
    ("A04", (2, false), (Router(0), "forward", DROP, DataSyn), IptablesNft, (Vsftpd, Curl), (Port, List)),
    ("A04", (2, false), (Router(1), "forward", DROP, DataSyn), Nft, (Proftpd, Tnftp), (Eprt, Get(SMALL))),
    ("A04", (1, false), (Router(0), "forward", DROP, DataSyn), IptablesLegacy, (PureFtpd, Inetutils), (Port, Put(MID))),
    ("A04", (2, true), (Router(1), "forward", DROP, DataSyn), Nft, (Pyftpdlib, Ftplib), (Eprt, List)),
    ("A04", (2, false), (Router(0), "forward", DROP, DataSynAck), Nft, (PureFtpd, Ftplib), (Port, List)),
    ("A04", (2, true), (Router(1), "forward", DROP, DataSynAck), IptablesNft, (Vsftpd, Curl), (Eprt, Put(SMALL))),
    ("A04", (1, false), (Server, "input", DROP, DataSynAck), IptablesLegacy, (Pyftpdlib, Lftp), (Port, Get(SMALL))),
    ("A04", (1, true), (Server, "input", DROP, DataSynAck), Nft, (Proftpd, Tnftp), (Eprt, List)),
    ("A05", (2, false), (Router(0), "forward", PORT, DataSyn), IptablesNft, (PureFtpd, Tnftp), (Port, List)),
    ("A05", (2, false), (Router(1), "forward", ADMIN, DataSyn), IptablesLegacy, (Vsftpd, Lftp), (Port, Put(SMALL))),
    ("A05", (1, false), (Router(0), "forward", HOST, DataSyn), Nft, (Pyftpdlib, Inetutils), (Port, Get(SMALL))),
    ("A05", (2, false), (Router(1), "forward", RESET, DataSyn), Nft, (Proftpd, Ftplib), (Port, Get(SMALL))),
    ("A05", (1, true), (Router(0), "forward", RESET, DataSyn), IptablesNft, (Vsftpd, Curl), (Eprt, List)),
    ("A05", (2, true), (Router(1), "forward", NET, DataSyn), IptablesLegacy, (PureFtpd, Lftp), (Eprt, List)),
    ("A06", (1, false), (Server, "output", DROP, DataSyn), Nft, (Vsftpd, Inetutils), (Port, List)),
    ("A06", (2, true), (Server, "output", DROP, DataSyn), IptablesNft, (PureFtpd, Tnftp), (Eprt, Put(SMALL))),
    ("A06", (0, false), (Server, "output", DROP, DataSyn), IptablesLegacy, (Proftpd, Ftplib), (Port, Get(SMALL))),
    ("A06", (1, false), (Server, "output", PORT, DataSyn), IptablesNft, (Pyftpdlib, Lftp), (Port, List)),
    ("A06", (2, false), (Server, "output", RESET, DataSyn), Nft, (Vsftpd, Tnftp), (Port, Get(SMALL))),
];

/// Control connections.
const CONTROL: &[Row] = &[
    ("T11", (1, false), (Client, "output", DROP, ControlSyn), Nft, (Vsftpd, Lftp), (Pasv, List)),
    ("T11", (1, true), (Client, "output", RESET, ControlSyn), IptablesNft, (Proftpd, Ftplib), (Epsv, List)),
    ("T11", (1, false), (Router(0), "forward", DROP, ControlSyn), IptablesLegacy, (PureFtpd, Curl), (Pasv, List)),
    ("T11", (2, false), (Router(0), "forward", DROP, ControlSyn), Nft, (Vsftpd, Tnftp), (Pasv, List)),
    ("T11", (2, true), (Router(1), "forward", DROP, ControlSyn), IptablesNft, (Pyftpdlib, Lftp), (Epsv, List)),
    ("T11", (1, false), (Server, "input", DROP, ControlSyn), IptablesLegacy, (Vsftpd, Ftplib), (Pasv, List)),
    ("T11", (2, true), (Server, "input", DROP, ControlSyn), Nft, (Proftpd, Curl), (Epsv, List)),
    ("T11", (1, false), (Router(0), "forward", PORT, ControlSyn), IptablesNft, (PureFtpd, Inetutils), (Pasv, List)),
    ("T11", (2, false), (Router(1), "forward", ADMIN, ControlSyn), Nft, (Vsftpd, Lftp), (Pasv, List)),
    ("T11", (2, false), (Router(0), "forward", RESET, ControlSyn), IptablesLegacy, (Proftpd, Tnftp), (Pasv, List)),
    ("T11", (2, true), (Router(1), "forward", RESET, ControlSyn), Nft, (Vsftpd, Curl), (Epsv, List)),
    ("T11", (2, false), (Server, "input", HOST, ControlSyn), IptablesLegacy, (Vsftpd, Inetutils), (Pasv, List)),
    ("T11", (1, true), (Server, "input", ADMIN, ControlSyn), Nft, (PureFtpd, Tnftp), (Epsv, List)),
    ("T11", (1, false), (Server, "input", RESET, ControlSyn), IptablesNft, (Proftpd, Lftp), (Pasv, List)),
    ("T11", (1, false), (Server, "output", DROP, ControlSynAck), IptablesNft, (Vsftpd, Ftplib), (Pasv, List)),
    ("T11", (2, false), (Server, "output", PORT, ControlSynAck), IptablesLegacy, (Proftpd, Lftp), (Pasv, List)),
    ("T11", (1, true), (Server, "output", RESET, ControlSynAck), Nft, (Pyftpdlib, Curl), (Epsv, List)),
    ("T11", (2, false), (Router(1), "forward", DROP, ControlSynAck), Nft, (PureFtpd, Lftp), (Pasv, List)),
    ("T11", (2, true), (Router(0), "forward", DROP, ControlSynAck), IptablesLegacy, (Vsftpd, Curl), (Epsv, List)),
    ("T11", (1, false), (Client, "input", DROP, ControlSynAck), Nft, (Pyftpdlib, Tnftp), (Pasv, List)),
];

pub(crate) fn all() -> Vec<Scenario> {
    let passive = PASSIVE.iter().map(|row| scenario("passive", row));
    let active = ACTIVE.iter().map(|row| scenario("active", row));
    let control = CONTROL.iter().map(|row| scenario("control", row));
    passive.chain(active).chain(control).collect()
}

fn scenario(kind: &str, row: &Row) -> Scenario {
    let &(mode, (routers, v6), (at, hook, fate, lost), tool, (server, client), (way, does)) = row;
    let rules = match lost {
        DataSynAck => no_data_syn_ack(tool, hook, fate, v6),
        ControlSynAck => no_control_syn_ack(tool, hook, fate, v6),
        ControlSyn => only(tool, hook, "22, 80", fate, v6),
        _ => only(tool, hook, "21, 22", fate, v6),
    };
    let family = if v6 { "6" } else { "4" };
    let words = [kind.to_owned(), routers.to_string(), family.to_owned()];
    let host = match at {
        Router(number) => format!("router{}", number + 1),
        host => format!("{host:?}"),
    };
    let leg = if matches!(lost, DataSynAck | ControlSynAck) { "synack" } else { "syn" };
    let programs = format!("{server:?}-{client:?}");
    let name = format!("{}-{host}-{hook}-{}-{leg}-{programs}", words.join("-"), fate.word()).to_lowercase();
    let story = format!("{lost:?} meets {fate:?} in the {hook} chain of {host}");
    let refused = match fate {
        Fate::Drop => None,
        Fate::Reject(_) => Some(Mechanism::IcmpReject),
        Fate::Reset => Some(Mechanism::TcpReset),
    };
    let mechanism = match (hook, lost, refused) {
        ("output", DataSyn | ControlSyn, _) => Mechanism::NeverSent,
        ("output", _, _) | (_, _, None) => Mechanism::SilentDrop,
        (_, _, Some(refused)) => refused,
    };
    Scenario::new(name, mode, story)
        .line(Line::plain(routers, v6))
        .programs(server, client)
        .transfer(way, does)
        .rules(at, tool, rules)
        .loses(lost, at, mechanism)
        .on_loopback(refused.filter(|_| hook == "output"))
}
