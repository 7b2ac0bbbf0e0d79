//! A client that has one server send to another (FXP, RFC 959 section 5.2): the data connection is on neither line.

use ftpwhy::verdict::{Lost, Mechanism};

use crate::client::{Does, Mode, Program::*};
use crate::files::MID;
use crate::firewall::Tool::*;
use crate::line::At;
use crate::scenario::{Check, Scenario, Taps};
use crate::scenarios::rules::{Fate, Icmp, only};
use crate::server::Program::{self, *};

/// What lets a server connect to, and be connected to by, others than the client.
fn open_to_others(server: Program) -> &'static str {
    match server {
        Vsftpd => "connect_from_port_20=NO\npasv_promiscuous=YES\nport_promiscuous=YES\n",
        Proftpd => "AllowForeignAddress on\n",
        _ => "",
    }
}

/// From the second server to the first; which of them listens.
fn copy(source_listens: bool) -> String {
    let listens = if source_listens { "yes" } else { "no" };
    format!(
        "set ftp:use-fxp yes; set ftp:fxp-force yes; set ftp:fxp-passive-source {listens}; get \
         ftp://tester:secret@192.168.30.10/pub/mid.bin -o ftp://tester:secret@192.168.20.10/mid.bin"
    )
}

pub(crate) fn all() -> Vec<Scenario> {
    let new = |name: &str, story: &str, (server, other), source_listens| {
        Scenario::new(format!("fxp-{name}"), "", story)
            .programs(server, Lftp)
            .transfer(Mode::Pasv, Does::Put(MID))
            .patience(4)
            .server_options(open_to_others(server))
            .other(other, open_to_others(other))
            .script(copy(source_listens))
    };
    let aside = "the other server's own firewall drops it: that host is on neither side of this line";
    let both = Taps::With(&["client", "between-1"]);
    // Who sees one session only sees a client that announces an address which is not its own.
    vec![
        new("ok-source-listens", "one server sends to the other, and listens", (Vsftpd, Proftpd), true),
        new("ok-target-listens", "one server sends to the other, and connects", (Proftpd, Vsftpd), false),
        new("drop", "the target's firewall drops the other server's connection", (Vsftpd, Vsftpd), false)
            .rules(At::Server, Nft, only(Nft, "input", "21, 22", Fate::Drop, false))
            .loses(Lost::DataSyn, At::Server, Mechanism::SilentDrop)
            .by_other()
            .partly()
            .beside(At::Client)
            .check(Check::Client("PORT 192,168,20,10,"))
            .unjudged_content()
            .twin(Taps::Among(&["client", "between-1"]), None, aside),
        new("reject", "the source's firewall rejects the other server's connection", (Proftpd, Proftpd), true)
            .rules(At::Other, IptablesNft, only(IptablesNft, "input", "21, 22", Fate::Reject(Icmp::Port), false))
            .fails(Some(At::Client), Mechanism::IncompleteCapture)
            .beside(At::Other)
            .check(Check::Client("PORT 192,168,30,10,"))
            .check(Check::Refused("192.168.30.10"))
            .unjudged_content()
            .twin(both, None, aside),
        new("refused", "servers that connect to nobody but the client refuse the PORT", (Vsftpd, Vsftpd), true)
            .server_options("")
            .other(Vsftpd, "")
            .check(Check::Client("500 Illegal PORT"))
            .fails(Some(At::Client), Mechanism::RefusedByServer)
            .unjudged_content()
            .twin(
                both,
                None,
                "the addresses are foreign because two servers are to send to one another: they refuse that",
            ),
    ]
}
