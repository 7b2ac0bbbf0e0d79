//! The kernel's FTP helper on a router that forwards port 21 only: what it needs, and what blinds it.

use ftpwhy::line::Side;
use ftpwhy::verdict::{Lost, Mechanism};

use crate::client::{Does, Mode, Program::*};
use crate::files::SMALL;
use crate::firewall::Tool::{self, *};
use crate::line::{At, Line};
use crate::scenario::{Check, Scenario, Taps};
use crate::scenarios::nat::helper;
use crate::scenarios::rules::{Fate, only};
use crate::server::{Program::*, Tls};

/// The twin of an encrypted session at taps that see no SYN.
const HIDDEN: &str = "what is encrypted asks for no data connection";

pub(crate) fn all() -> Vec<Scenario> {
    [works(), fails(), drops(), tls()].concat()
}

/// Rules that forward these ports, without one to blame.
fn innocent(tool: Tool, hook: &str, ports: &str, v6: bool) -> String {
    only(tool, hook, ports, Fate::Drop, v6)
        .replace(" -m comment --comment blamed", "")
        .replace(" comment \"blamed\"", "")
}

fn works() -> Vec<Scenario> {
    let new = |name: &str, tool, router, line: Line| {
        Scenario::new(format!("helper-ok-{name}"), "", "the helper lets the data connection through")
            .line(line)
            .rules(At::Router(router), tool, innocent(tool, "forward", "21", line.v6))
            .rules(At::Router(router), tool, helper(tool, &["prerouting"], 21))
    };
    vec![
        new("pasv", Nft, 0, Line::plain(1, false)).programs(Vsftpd, Lftp).transfer(Mode::Pasv, Does::List),
        new("epsv", IptablesNft, 1, Line::plain(2, false)).programs(Proftpd, Tnftp).transfer(Mode::Epsv, Does::List),
        new("port", IptablesLegacy, 0, Line::plain(2, false))
            .programs(PureFtpd, Ftplib)
            .transfer(Mode::Port, Does::List),
        new("eprt-v6", Nft, 0, Line::plain(1, true)).programs(Vsftpd, Curl).transfer(Mode::Eprt, Does::Get(SMALL)),
        Scenario::new("helper-ok-client", "", "the helper on the client's own host")
            .programs(Vsftpd, Tnftp)
            .transfer(Mode::Port, Does::Get(SMALL))
            .rules(At::Client, Nft, innocent(Nft, "input", "22", false))
            .rules(At::Client, Nft, helper(Nft, &["output"], 21)),
    ]
}

fn fails() -> Vec<Scenario> {
    let forward = |tool, ports: &str| only(tool, "forward", ports, Fate::Drop, false);
    let new =
        |name: &str, row, story: &str| Scenario::new(format!("helper-{name}"), row, story).line(Line::plain(2, false));
    let established = "chain forward { type filter hook forward priority 0; policy drop; ct state established accept; \
                       tcp dport 21 accept; counter drop comment \"blamed\"; }";
    let early = "table inet early {\nct helper ftp-standard {\ntype \"ftp\" protocol tcp;\n}\nchain prerouting { type filter \
                 hook prerouting priority -300; tcp dport 21 ct helper set \"ftp-standard\"; }\n}";
    let matched = "chain forward { type filter hook forward priority 0; policy drop; ct helper \"ftp\" accept; ct state \
                   established,related accept; tcp dport 21 accept; counter drop comment \"blamed\"; }";
    vec![
        new("none", "H01", "nobody assigned the helper: a kernel 6 does not do it by itself")
            .programs(Vsftpd, Lftp)
            .transfer(Mode::Port, Does::List)
            .rules(At::Router(0), IptablesNft, forward(IptablesNft, "21"))
            .loses(Lost::DataSyn, At::Router(0), Mechanism::SilentDrop),
        new("early", "H02", "the helper is set before conntrack has seen the packet")
            .programs(Vsftpd, Lftp)
            .rules(At::Router(0), Nft, early)
            .rules(At::Router(0), Nft, forward(Nft, "21"))
            .loses(Lost::DataSyn, At::Router(0), Mechanism::SilentDrop),
        new("matched", "H03", "`ct helper` instead of `ct helper set`")
            .programs(PureFtpd, Curl)
            .transfer(Mode::Epsv, Does::List)
            .rules(At::Router(1), Nft, matched)
            .loses(Lost::DataSyn, At::Router(1), Mechanism::SilentDrop),
        new("without-related", "H04", "the helper works, and nothing accepts what is related")
            .programs(Proftpd, Lftp)
            .rules(At::Router(1), Nft, helper(Nft, &["prerouting"], 21))
            .rules(At::Router(1), Nft, established)
            .loses(Lost::DataSyn, At::Router(1), Mechanism::SilentDrop),
        new("other-port", "H05", "FTP on 2121, the helper on 21")
            .programs(Vsftpd, Ftplib)
            .port(2121)
            .rules(At::Router(0), IptablesLegacy, helper(IptablesLegacy, &["prerouting"], 21))
            .rules(At::Router(0), IptablesLegacy, forward(IptablesLegacy, "21, 2121"))
            .loses(Lost::DataSyn, At::Router(0), Mechanism::SilentDrop),
        new("client-prerouting", "H01", "the client's own commands pass OUTPUT, not PREROUTING")
            .programs(Vsftpd, Tnftp)
            .transfer(Mode::Port, Does::Get(SMALL))
            .rules(At::Client, IptablesNft, helper(IptablesNft, &["prerouting"], 21))
            .rules(At::Client, IptablesNft, only(IptablesNft, "input", "22", Fate::Drop, false))
            .loses(Lost::DataSyn, At::Client, Mechanism::SilentDrop),
        new("behind-type", "H08", "a PORT behind TYPE in one segment is not read")
            .programs(Vsftpd, Raw)
            .transfer(Mode::Port, Does::List)
            .script("say('TYPE I\\r\\nPORT 10,1,1,99,200,34\\r\\n')\nline()\ntime.sleep(.3)\nsay('LIST\\r\\n')\nline()\ntry:\n    listener.accept()\nexcept OSError:\n    pass\nline()")
            .rules(At::Router(0), Nft, helper(Nft, &["prerouting"], 21))
            .rules(At::Router(0), Nft, forward(Nft, "21"))
            .loses(Lost::DataSyn, At::Router(0), Mechanism::SilentDrop),
    ]
}

/// Control segments that the helper itself drops; no counter moves, the segment is just gone.
fn drops() -> Vec<Scenario> {
    let new = |name: &str, row, story: &str, tool, side| {
        Scenario::new(format!("helper-drops-{name}"), row, story)
            .rules(At::Router(0), tool, innocent(tool, "forward", "21", false))
            .rules(At::Router(0), tool, helper(tool, &["prerouting"], 21))
            .loses(Lost::ControlSegments, At::Router(0), Mechanism::Stalled)
            .toward(side)
    };
    let port = |text: &str| format!("say('{text}')\ntry:\n    line()\nexcept OSError:\n    print('nothing came')");
    vec![
        new("port-lf", "H07", "a PORT that ends in LF alone", Nft, Side::Server)
            .programs(Vsftpd, Raw)
            .transfer(Mode::Port, Does::List)
            .script(port("PORT 192,168,10,99,200,34\\n"))
            .check(Check::Said("nothing came")),
        new("port-blanks", "H07", "a PORT with two blanks", IptablesNft, Side::Server)
            .programs(Vsftpd, Raw)
            .transfer(Mode::Port, Does::List)
            .script(port("PORT  192,168,10,99,200,34\\r\\n"))
            .check(Check::Said("nothing came")),
        new("227-digit", "H06", "a 227 with a digit in its text", Nft, Side::Client)
            .programs(Stub, Lftp)
            .server_options("227 Entering passive mode v2 (192,168,20,10,156,68)")
            .check(Check::ClientLacks("227")),
        new("227-blanks", "H06", "a 227 with blanks behind the commas", IptablesLegacy, Side::Client)
            .programs(Stub, Ftplib)
            .server_options("227 Entering passive mode (192, 168, 20, 10, 156, 68)")
            .check(Check::ClientLacks("227")),
    ]
}

fn tls() -> Vec<Scenario> {
    let new = |name: &str, tls, tool, is_open: bool| {
        let (word, row) = match (is_open, tls) {
            (true, _) => ("open", ""),
            (false, Tls::Implicit) => ("closed", "T17"),
            (false, _) => ("closed", "H10"),
        };
        let scenario = Scenario::new(format!("tls-{name}-{word}"), row, "TLS hides the negotiation from the helper")
            .tls(tls)
            .rules(At::Router(0), tool, helper(tool, &["prerouting"], 21));
        match is_open {
            true => scenario.rules(At::Router(0), tool, innocent(tool, "forward", "21, 990, 40000-40010", false)),
            false => scenario
                .rules(At::Router(0), tool, only(tool, "forward", "21, 990", Fate::Drop, false))
                .loses(Lost::DataSyn, At::Router(0), Mechanism::SilentDrop)
                .twin(Taps::Among(&["between-2", "server"]), None, HIDDEN),
        }
    };
    [false, true]
        .into_iter()
        .flat_map(|open| {
            [
                new("explicit-vsftpd-lftp", Tls::Explicit, Nft, open).programs(Vsftpd, Lftp),
                new("explicit-pureftpd-curl", Tls::Explicit, IptablesNft, open).programs(PureFtpd, Curl),
                new("explicit-proftpd-ftplib", Tls::Explicit, IptablesLegacy, open).programs(Proftpd, Ftplib),
                new("implicit-vsftpd-curl", Tls::Implicit, Nft, open).programs(Vsftpd, Curl),
            ]
        })
        .collect()
}
