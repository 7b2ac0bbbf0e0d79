//! Packets that a chain's policy drops. It counts nothing: nft's trace is the proof.

use ftpwhy::verdict::{Lost, Mechanism};

use crate::client::{Does, Mode, Program::*};
use crate::files::{MID, SMALL};
use crate::firewall::Tool::{self, *};
use crate::line::{At, Line};
use crate::scenario::Scenario;
use crate::scenarios::rules::{Fate, only};
use crate::server::Program::*;

/// A chain that lets nothing new pass but connections to these ports, without a last rule: its policy drops the rest.
fn silent(tool: Tool, hook: &str, ports: &str, v6: bool) -> String {
    let rules = only(tool, hook, ports, Fate::Drop, v6);
    rules.lines().filter(|line| !line.contains("blamed")).map(|line| format!("{line}\n")).collect()
}

pub(crate) fn all() -> Vec<Scenario> {
    let new = |name: &str, row, (routers, v6), (at, hook), tool, ports: &str| {
        let mechanism = if hook == "output" { Mechanism::NeverSent } else { Mechanism::SilentDrop };
        Scenario::new(format!("policy-{name}"), row, "the policy of a chain drops a packet")
            .line(Line::plain(routers, v6))
            .rules(at, tool, silent(tool, hook, ports, v6))
            .loses(Lost::DataSyn, at, mechanism)
            .traced()
    };
    let ports = "21, 22";
    vec![
        new("server-input", "P01", (1, false), (At::Server, "input"), Nft, ports).programs(Vsftpd, Curl),
        new("router1-forward", "P06", (2, false), (At::Router(0), "forward"), IptablesNft, ports)
            .programs(Proftpd, Lftp)
            .transfer(Mode::Epsv, Does::Get(SMALL)),
        new("router2-forward-v6", "P06", (2, true), (At::Router(1), "forward"), Nft, ports)
            .programs(PureFtpd, Ftplib)
            .transfer(Mode::Epsv, Does::Put(SMALL)),
        new("client-output", "P09", (1, false), (At::Client, "output"), IptablesNft, ports)
            .programs(Pyftpdlib, Tnftp)
            .transfer(Mode::Pasv, Does::Get(MID)),
        new("client-input", "A02", (1, false), (At::Client, "input"), Nft, ports)
            .programs(Vsftpd, Tnftp)
            .transfer(Mode::Port, Does::List),
        new("router1-forward-active", "A04", (1, true), (At::Router(0), "forward"), Nft, ports)
            .programs(Proftpd, Curl)
            .transfer(Mode::Eprt, Does::List),
        new("server-output", "A06", (2, false), (At::Server, "output"), IptablesNft, ports)
            .programs(PureFtpd, Lftp)
            .transfer(Mode::Port, Does::Get(SMALL)),
        new("control-server-input", "T11", (1, false), (At::Server, "input"), Nft, "22").programs(Vsftpd, Lftp).loses(
            Lost::ControlSyn,
            At::Server,
            Mechanism::SilentDrop,
        ),
    ]
}
