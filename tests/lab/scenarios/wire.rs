//! Links on which packets take 40 ms, and links on which a box without an address rewrites what is said.

use ftpwhy::line::Side;
use ftpwhy::verdict::{Lost, Mechanism};

use crate::client::{Does, Mode, Program::*};
use crate::files::{BIG, SMALL};
use crate::firewall::Tool::*;
use crate::line::{At, Line, Wire};
use crate::scenario::{Check, Scenario};
use crate::scenarios::rules::{Fate, Icmp, no_data_syn_ack, only};
use crate::server::Program::*;

pub(crate) fn all() -> Vec<Scenario> {
    [far(), rewritten()].concat()
}

fn far() -> Vec<Scenario> {
    let line = |routers, v6| Line { wire: Some(Wire { delay: 40, rewrites: None }), ..Line::plain(routers, v6) };
    let new = |name: &str, row, routers, v6, story: &str| {
        Scenario::new(format!("far-{name}"), row, format!("40 ms away: {story}")).line(line(routers, v6))
    };
    let rules = |hook, fate, v6| only(Nft, hook, "21, 22", fate, v6);
    let (port, reset) = (Fate::Reject(Icmp::Port), Fate::Reset);
    vec![
        new("ok-passive", "", 2, false, "a download").programs(Vsftpd, Curl).transfer(Mode::Pasv, Does::Get(BIG)),
        new("ok-active-v6", "", 1, true, "an upload").programs(Proftpd, Tnftp).transfer(Mode::Eprt, Does::Put(BIG)),
        new("ok-link", "", 0, false, "no router between").programs(PureFtpd, Lftp).transfer(Mode::Epsv, Does::List),
        new("server-drops", "P01", 1, false, "the server's host drops")
            .programs(Vsftpd, Ftplib)
            .rules(At::Server, Nft, rules("input", Fate::Drop, false))
            .loses(Lost::DataSyn, At::Server, Mechanism::SilentDrop),
        new("router-rejects", "P05", 2, true, "the server's router rejects")
            .programs(PureFtpd, Curl)
            .transfer(Mode::Epsv, Does::Get(SMALL))
            .rules(At::Router(1), Nft, rules("forward", port, true))
            .loses(Lost::DataSyn, At::Router(1), Mechanism::IcmpReject),
        new("router-resets", "P04", 2, false, "the client's router resets")
            .programs(Proftpd, Lftp)
            .rules(At::Router(0), Nft, rules("forward", reset, false))
            .loses(Lost::DataSyn, At::Router(0), Mechanism::TcpReset),
        new("client-refuses-itself", "P10", 1, false, "the client's own output rejects")
            .programs(Vsftpd, Tnftp)
            .rules(At::Client, Nft, rules("output", port, false))
            .loses(Lost::DataSyn, At::Client, Mechanism::NeverSent)
            .on_loopback(Some(Mechanism::IcmpReject)),
        new("client-rejects", "A03", 1, false, "the client's host rejects, and 425 comes after two round trips")
            .programs(Vsftpd, Ftplib)
            .transfer(Mode::Port, Does::List)
            .rules(At::Client, Nft, rules("input", port, false))
            .loses(Lost::DataSyn, At::Client, Mechanism::IcmpReject),
        new(
            "router-rejects-active",
            "A05",
            2,
            false,
            "the server's router rejects, and 425 comes after one round trip",
        )
        .programs(Proftpd, Lftp)
        .transfer(Mode::Port, Does::Get(SMALL))
        .rules(At::Router(1), Nft, rules("forward", port, false))
        .loses(Lost::DataSyn, At::Router(1), Mechanism::IcmpReject),
        new("answer-dropped", "P07", 2, false, "the client's router drops the server's answers")
            .programs(Pyftpdlib, Curl)
            .rules(At::Router(0), Nft, no_data_syn_ack(Nft, "forward", Fate::Drop, false))
            .loses(Lost::DataSynAck, At::Router(0), Mechanism::SilentDrop),
    ]
}

fn rewritten() -> Vec<Scenario> {
    let new = |name: &str, row, story: &str, old, new| {
        let line = Line { wire: Some(Wire { delay: 0, rewrites: Some((old, new)) }), ..Line::plain(2, false) };
        Scenario::new(format!("rewritten-{name}"), row, story).line(line)
    };
    vec![
        new("syst", "H13", "an inspecting box hides what the server is", "UNIX Type", "**** ****")
            .programs(Vsftpd, Tnftp)
            .check(Check::Client("215 ****"))
            .check(Check::Server("215 UNIX")),
        new("227-port", "P18", "a box announces another port than the server does", "156,69", "156,99")
            .programs(Vsftpd, Lftp)
            .server_options("pasv_min_port=40005\npasv_max_port=40005\n")
            .fails(Some(At::Wire), Mechanism::UnreachableAddress),
        new("port-address", "A08", "a box announces another address than the client does", "10,1,1,99", "10,1,1,98")
            .programs(Vsftpd, Tnftp)
            .transfer(Mode::Port, Does::List)
            .fails(Some(At::Wire), Mechanism::UnreachableAddress)
            .toward(Side::Server)
            .check(Check::Client("500 Illegal PORT")),
    ]
}
