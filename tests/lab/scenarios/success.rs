//! Transfers that go through: nobody may be blamed.

use crate::client::Does::{self, *};
use crate::client::{Mode::*, Program::*};
use crate::files::{BIG, EMPTY, MID, SMALL};
use crate::firewall::Tool::*;
use crate::line::{At, Line};
use crate::scenario::{Check, Scenario};
use crate::server::Program::*;

/// Lets the third SYN of a connection pass, and all that follows.
const TWO_SYNS: &str = "tcp flags & (fin|syn|rst|ack) == syn quota until 130 bytes counter drop comment \"blamed\"";

pub(crate) fn all() -> Vec<Scenario> {
    let matrix = [Vsftpd, PureFtpd, Proftpd, Pyftpdlib]
        .into_iter()
        .flat_map(|server| [Lftp, Curl, Tnftp, Inetutils, Ftplib].into_iter().map(move |client| (server, client)));
    let plain = matrix.enumerate().map(|(number, (server, client))| {
        let line = Line::plain(number % 3, number % 4 == 1);
        let line = Line { offload: number % 7 == 3, ..line };
        let is_old = client == Inetutils || client == Lftp;
        let mode = match (line.v6, number % 2) {
            (true, _) if is_old => Epsv,
            (true, _) if number % 8 == 1 => Eprt,
            (true, _) => Epsv,
            (false, 0) => Pasv,
            (false, _) => Port,
        };
        let does = [List, Get(SMALL), Put(MID), Get(BIG), Put(SMALL), Get(MID)][number % 6];
        Scenario::new(format!("ok-{server:?}-{client:?}").to_lowercase(), "", "nothing is wrong")
            .line(line)
            .programs(server, client)
            .transfer(mode, does)
    });
    plain.chain(special()).collect()
}

fn special() -> Vec<Scenario> {
    let new = |name: &str, story: &str| Scenario::new(format!("ok-{name}"), "", story);
    let late = |name: &str, at, hook: &str, which: &str| {
        let rules =
            format!("chain {hook} {{ type filter hook {hook} priority 0; policy accept; {which} {TWO_SYNS}; }}");
        new(name, "a SYN is lost twice, and the third goes through").rules(at, Nft, rules)
    };
    vec![
        new("resumed", "a download is resumed with REST")
            .programs(Proftpd, Curl)
            .transfer(Epsv, Get(BIG))
            .script("-r 200000-")
            .unjudged_content()
            .check(Check::Client("REST 200000"))
            .check(Check::Client("226 ")),
        new("empty-get", "a file of no bytes").programs(PureFtpd, Lftp).transfer(Pasv, Get(EMPTY)),
        new("empty-put", "a file of no bytes").programs(Vsftpd, Tnftp).transfer(Port, Put(EMPTY)),
        late("late-syn-passive", At::Router(0), "forward", "tcp dport 40000-40010")
            .programs(Vsftpd, Lftp)
            .transfer(Pasv, Get(SMALL)),
        late("late-syn-active", At::Client, "input", "tcp sport 20").programs(Vsftpd, Tnftp).transfer(Port, Get(SMALL)),
        late("late-syn-control", At::Server, "input", "tcp dport 21")
            .programs(Proftpd, Curl)
            .transfer(Epsv, Get(SMALL)),
        new("superseded", "PASV twice: the first 227 is never used")
            .programs(Proftpd, Ftplib)
            .script("print(f.sendcmd('PASV'))\nf.cwd('pub')\nf.retrlines('LIST')"),
        new("fallback-epsv-pasv", "EPSV is refused, the client says PASV")
            .programs(Vsftpd, Curl)
            .transfer(Epsv, Does::List)
            .server_options("cmds_denied=EPSV\n")
            .check(Check::Client("227 ")),
        new("several", "three clients at once").programs(Vsftpd, Lftp).transfer(Pasv, Get(MID)).clients(3),
        new("port-2121", "FTP on another port").programs(PureFtpd, Curl).transfer(Epsv, Get(SMALL)).port(2121),
        new("narrow-link", "a narrow link whose router says so")
            .line(Line { mtu: 1400, ..Line::plain(2, false) })
            .programs(Vsftpd, Curl)
            .transfer(Pasv, Get(BIG)),
        new("nat-passive", "passive mode through the client's NAT")
            .line(super::nat::CLIENT_NAT)
            .programs(Vsftpd, Lftp)
            .transfer(Pasv, Get(SMALL))
            .rules(At::Router(0), IptablesNft, super::nat::masquerade(IptablesNft)),
    ]
}
