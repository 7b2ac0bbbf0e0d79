//! Failures that are nobody's firewall: the server's program refuses, or the client leaves.

use ftpwhy::verdict::{Lost, Mechanism};

use crate::client::{Does, Mode, Program::*};
use crate::files::{BIG, MISSING, SMALL};
use crate::line::{At, Line};
use crate::scenario::{Check, Scenario, When};
use crate::server::Program::*;

/// Interrupts a download with ABOR, as ftplib does it: urgent, then two replies.
const ABOR: &str = "f.voidcmd('TYPE I')\nd = f.transfercmd('RETR pub/big.bin')\nprint(len(d.recv(5000)))\n\
                    f.putcmd('ABOR')\nd.close()\nprint(f.getmultiline())\nprint(f.getmultiline())";

/// A server that sends slowly enough to be interrupted.
const SLOWLY: &str = "local_max_rate=60000\n";

/// Two listings to the same port of the client.
const SAME_PORT: &str = "import socket\nl = socket.create_server(('', 51234))\nfor turn in range(2):\n    \
                         f.sendport('192.168.10.99', 51234)\n    f.sendcmd('LIST')\n    s = l.accept()[0]\n    while s.recv(9999): \
                         pass\n    f.voidresp()";

pub(crate) fn all() -> Vec<Scenario> {
    let new = |name: &str, row, story: &str| Scenario::new(format!("refused-{name}"), row, story);
    let left = |name: &str, story: &str| Scenario::new(format!("left-{name}"), "", story).aborted();
    let second = "time.sleep(2)";
    vec![
        new("530-vsftpd", "", "a wrong password").programs(Vsftpd, Lftp).login("tester", "wrong").refused("530 "),
        new("530-pureftpd", "", "a wrong password").programs(PureFtpd, Curl).login("tester", "wrong").refused("530 "),
        new("530-proftpd", "", "a wrong password").programs(Proftpd, Tnftp).login("tester", "wrong").refused("530 "),
        new("550-vsftpd", "", "no such file")
            .programs(Vsftpd, Lftp)
            .transfer(Mode::Pasv, Does::Get(MISSING))
            .refused("550 "),
        new("550-active-proftpd", "", "no such file, in active mode")
            .programs(Proftpd, Tnftp)
            .transfer(Mode::Port, Does::Get(MISSING))
            .refused("550 "),
        new("550-pyftpdlib", "", "no such file")
            .line(Line::plain(2, true))
            .programs(Pyftpdlib, Ftplib)
            .transfer(Mode::Epsv, Does::Get(MISSING))
            .refused("550 "),
        new("553-vsftpd", "", "an upload where none is allowed")
            .programs(Vsftpd, Inetutils)
            .transfer(Mode::Pasv, Does::Put(SMALL))
            .login("anonymous", "lab@example.org")
            .script("put small.txt pub/small.txt")
            .refused("553 "),
        new("550-upload-pureftpd", "", "an upload by a guest")
            .programs(PureFtpd, Ftplib)
            .transfer(Mode::Pasv, Does::Put(SMALL))
            .login("anonymous", "lab@example.org")
            .server_options("-i")
            .script("f.storbinary('STOR pub/new.txt', open('small.txt', 'rb'))")
            .refused("55"),
        new("425-without-port-vsftpd", "", "a transfer without PORT or PASV")
            .programs(Vsftpd, Ftplib)
            .script("print(f.sendcmd('RETR pub/small.txt'))")
            .refused("425 "),
        new("425-without-port-pureftpd", "", "a transfer without PORT or PASV")
            .programs(PureFtpd, Ftplib)
            .script("print(f.sendcmd('RETR pub/small.txt'))")
            .refused("425 "),
        new("epsv-denied", "P21", "the server knows no EPSV and the client nothing else")
            .programs(Vsftpd, Ftplib)
            .transfer(Mode::Epsv, Does::List)
            .server_options("cmds_denied=EPSV\n")
            .refused("550 "),
        new("pasv-disabled", "P21", "passive mode is disabled on the server")
            .programs(Vsftpd, Ftplib)
            .server_options("pasv_enable=NO\n")
            .refused("550 "),
        new("port-disabled", "A11", "active mode is disabled on the server")
            .programs(Vsftpd, Tnftp)
            .transfer(Mode::Port, Does::List)
            .server_options("port_enable=NO\n")
            .refused("550 "),
        new("522-vsftpd", "P20", "EPSV for a protocol that the server does not speak")
            .programs(Vsftpd, Ftplib)
            .script("print(f.sendcmd('EPSV 2'))")
            .refused("522 "),
        new("port-low-vsftpd", "A10", "a PORT below 1024")
            .programs(Vsftpd, Ftplib)
            .transfer(Mode::Port, Does::List)
            .script("print(f.sendport('192.168.10.99', 999))")
            .refused("500 Illegal PORT"),
        new("epsv-all-proftpd", "T18", "PASV after EPSV ALL")
            .programs(Proftpd, Ftplib)
            .script("print(f.sendcmd('EPSV ALL'))\nprint(f.sendcmd('PASV'))")
            .refused("50"),
        new("port-taken-vsftpd", "A09", "the server's end of the data connection is still taken by the one before")
            .programs(Vsftpd, Ftplib)
            .transfer(Mode::Port, Does::List)
            .event(When::Early, At::Server, "sysctl -qw net.ipv4.tcp_timestamps=0")
            .script(SAME_PORT)
            .fails(Some(At::Server), Mechanism::NeverSent)
            .unjudged_content()
            .check(Check::Client("425 ")),
        Scenario::new("refused-229-for-pasv", "P19", "the answer to PASV is that to EPSV, and the client gives up")
            .programs(Stub, Ftplib)
            .server_options("229 Entering Extended Passive Mode (|||40004|)")
            .fails(Some(At::Client), Mechanism::NeverSent)
            .check(Check::Client("229 "))
            .check(Check::Unsent),
        new("421-vsftpd", "T08", "two sessions where one is allowed")
            .programs(Vsftpd, Ftplib)
            .script(second)
            .server_options("max_clients=1\n")
            .clients(2)
            .refused("421 There are too many"),
        new("421-pureftpd", "T08", "two sessions where one is allowed")
            .programs(PureFtpd, Ftplib)
            .script(second)
            .server_options("-c 1")
            .clients(2)
            .refused("421 "),
        new("idle-421", "", "the server ends a session in which nothing is said")
            .programs(Vsftpd, Ftplib)
            .server_options("idle_session_timeout=2\n")
            .script("time.sleep(4)\nf.retrlines('LIST')")
            .refused("421 Timeout"),
        Scenario::new("no-greeting-lftp", "T10", "the server's kernel accepts, its program says nothing")
            .programs(Vsftpd, Lftp)
            .event(When::Ready, At::Server, "pkill -STOP -x vsftpd")
            .patience(5)
            .fails(Some(At::Server), Mechanism::Stalled)
            .check(Check::ClientLacks("220"))
            .check(Check::ServerLacks("220")),
        Scenario::new("closed-port-21-curl", "T11", "no server runs").programs(Absent, Curl).loses(
            Lost::ControlSyn,
            At::Server,
            Mechanism::TcpReset,
        ),
        Scenario::new("closed-port-21-tnftp-v6", "T11", "no server runs")
            .line(Line::plain(2, true))
            .programs(Absent, Tnftp)
            .transfer(Mode::Epsv, Does::List)
            .loses(Lost::ControlSyn, At::Server, Mechanism::TcpReset),
        Scenario::new("closed-data-port-passive", "P03", "the announced port is closed")
            .programs(Pyftpdlib, Lftp)
            .server_options("PassiveDTP.listen = lambda self, backlog: None\n")
            .loses(Lost::DataSyn, At::Server, Mechanism::TcpReset),
        Scenario::new("closed-data-port-active", "A03", "nobody listens on the announced port")
            .programs(Vsftpd, Ftplib)
            .transfer(Mode::Port, Does::List)
            .script("print(f.sendport('192.168.10.99', 55555))\nprint(f.sendcmd('LIST'))")
            .loses(Lost::DataSyn, At::Client, Mechanism::TcpReset)
            .check(Check::Client("425")),
        left("abor-vsftpd", "ABOR in mid-transfer")
            .programs(Vsftpd, Ftplib)
            .transfer(Mode::Pasv, Does::Get(BIG))
            .server_options(SLOWLY)
            .script(ABOR)
            .check(Check::Client("ABOR")),
        left("abor-active-proftpd", "ABOR in mid-transfer")
            .line(Line::plain(2, false))
            .programs(Proftpd, Ftplib)
            .transfer(Mode::Port, Does::Get(BIG))
            .script(ABOR)
            .check(Check::Client("ABOR")),
        left("abor-pureftpd", "ABOR in mid-transfer")
            .programs(PureFtpd, Ftplib)
            .transfer(Mode::Pasv, Does::Get(BIG))
            .script(ABOR)
            .check(Check::Client("ABOR")),
        left("interrupt-lftp", "the client is interrupted in mid-transfer")
            .programs(Vsftpd, Lftp)
            .transfer(Mode::Pasv, Does::Get(BIG))
            .server_options(SLOWLY)
            .killed(2, "INT"),
        Scenario { row: "T05", ..left("killed-curl", "the client is killed in mid-transfer") }
            .programs(Vsftpd, Curl)
            .transfer(Mode::Epsv, Does::Get(BIG))
            .server_options(SLOWLY)
            .killed(2, "KILL"),
        left("killed-curl-upload", "the client is killed in mid-upload")
            .line(Line::plain(2, false))
            .programs(Vsftpd, Curl)
            .transfer(Mode::Pasv, Does::Put(BIG))
            .script("--limit-rate 50k")
            .killed(2, "KILL"),
        left("before-data", "the client quits after 227 without a data connection, as after a REJECT of its own")
            .programs(Vsftpd, Ftplib)
            .script("print(f.sendcmd('PASV'))")
            .fails(Some(At::Client), Mechanism::NeverSent)
            .check(Check::Client("227 "))
            .check(Check::Unsent),
        Scenario::new("left-without-port-pyftpdlib", "", "RETR without PASV: the server waits, the client leaves")
            .programs(Pyftpdlib, Ftplib)
            .patience(5)
            .script("print(f.sendcmd('RETR pub/small.txt'))")
            .fails(None, Mechanism::RefusedByServer)
            .check(Check::Client("RETR pub/small.txt"))
            .check(Check::ClientLacks("PASV"))
            .check(Check::Unsent)
            .unjudged_content(),
    ]
}
