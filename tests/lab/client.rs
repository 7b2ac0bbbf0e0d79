//! FTP clients: the command that makes each do one transfer in one mode, with short timeouts.

use crate::files::File;
use crate::server::{Server, Tls};

/// A client program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Program {
    Lftp,
    Curl,
    Tnftp,
    Inetutils,
    Ftplib,
    /// A Python program on a bare socket, for what no real client does: `script` is its text.
    Raw,
}

/// How the data connection is agreed upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Pasv,
    Epsv,
    Port,
    Eprt,
}

impl Mode {
    pub(crate) fn is_passive(self) -> bool {
        matches!(self, Mode::Pasv | Mode::Epsv)
    }

    fn is_extended(self) -> bool {
        matches!(self, Mode::Epsv | Mode::Eprt)
    }
}

/// What is transferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    List,
    Get(File),
    Put(File),
}

/// A client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) program: Program,
    pub(crate) mode: Mode,
    pub(crate) does: Does,
    pub(crate) tls: Tls,
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
    /// Seconds it waits for an answer.
    pub(crate) patience: u32,
    /// Seconds until it is killed, if it does not end by itself, and the signal.
    pub(crate) limit: (u32, &'static str),
    /// Instead of the transfer, commands in its own words; for curl, further options.
    pub(crate) script: String,
    /// How many of them run, half a second apart.
    pub(crate) count: usize,
}

/// A command, and what it reads.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    pub(crate) arguments: Vec<String>,
    pub(crate) input: String,
}

impl Invocation {
    /// What a person would type.
    pub(crate) fn told(&self) -> String {
        format!("{}\n{}", self.arguments.join(" "), self.input)
    }
}

impl Client {
    /// How it is called to do what it does at a server.
    pub(crate) fn invocation(&self, host: &str, server: &Server) -> Invocation {
        let at = Destination { host, port: server.port, v6: host.contains(':') };
        match self.program {
            Program::Lftp => self.lftp(at),
            Program::Curl => self.curl(at),
            Program::Tnftp | Program::Inetutils => self.interactive(at),
            Program::Ftplib => self.python(self.ftplib(at)),
            Program::Raw => self.python(raw(at, &self.script)),
        }
    }

    /// The folder that uploads go to.
    pub(crate) fn upload(&self) -> &'static str {
        if self.user == "tester" { "" } else { "upload/" }
    }

    fn lftp(&self, at: Destination<'_>) -> Invocation {
        let yes = |yes| if yes { "yes" } else { "no" };
        let does = match self.does {
            _ if !self.script.is_empty() => self.script.clone(),
            Does::List => "ls pub".to_owned(),
            Does::Get(file) => format!("get pub/{}", file.name),
            Does::Put(file) => format!("put -O ./{} {}", self.upload(), file.name),
        };
        let tls = match self.tls {
            Tls::None => "set ftp:ssl-allow no",
            _ => "set ftp:ssl-allow yes; set ftp:ssl-force yes; set ftp:ssl-protect-data yes",
        };
        let text = format!(
            "set cmd:fail-exit yes; set net:max-retries 1; set net:persist-retries 0; set net:timeout {}; \
             set net:reconnect-interval-base 1; set dns:order {}; set ftp:passive-mode {}; set ftp:prefer-epsv {}; \
             set ftp:use-feat {}; set xfer:clobber yes; set ftp:use-mdtm no; set ssl:verify-certificate no; {tls}; \
             open -u {},{} {}://{}; {does}; bye",
            self.patience,
            if at.v6 { "inet6" } else { "inet" },
            yes(self.mode.is_passive()),
            yes(self.mode == Mode::Epsv),
            yes(self.mode == Mode::Epsv),
            self.user,
            self.password,
            if self.tls == Tls::Implicit { "ftps" } else { "ftp" },
            at.authority()
        );
        let arguments = ["lftp", "--norc", "-c", &text].map(str::to_owned).to_vec();
        Invocation { arguments, input: String::new() }
    }

    fn curl(&self, at: Destination<'_>) -> Invocation {
        let scheme = if self.tls == Tls::Implicit { "ftps" } else { "ftp" };
        let url = |path: &str| format!("{scheme}://{}/{path}", at.authority());
        let mut arguments = vec!["curl".to_owned(), "-sS".to_owned(), format!("-{}", if at.v6 { 6 } else { 4 })];
        arguments.extend(["-m".to_owned(), self.patience.to_string()]);
        arguments.extend(["-u".to_owned(), format!("{}:{}", self.user, self.password)]);
        let mode: &[&str] = match self.mode {
            Mode::Pasv => &["--disable-epsv"],
            Mode::Epsv => &[],
            Mode::Port => &["-P", "-", "--disable-eprt"],
            Mode::Eprt => &["-P", "-"],
        };
        let tls: &[&str] = match self.tls {
            Tls::None => &[],
            Tls::Explicit => &["-k", "--ssl-reqd"],
            Tls::Implicit => &["-k"],
        };
        arguments.extend(mode.iter().chain(tls).map(|option| (*option).to_owned()));
        arguments.extend(self.script.split_whitespace().map(str::to_owned));
        arguments.extend(match self.does {
            Does::List => vec![url("pub/")],
            Does::Get(file) => vec!["-o".to_owned(), file.name.to_owned(), url(&format!("pub/{}", file.name))],
            Does::Put(file) => {
                vec!["-T".to_owned(), file.name.to_owned(), url(&format!("{}{}", self.upload(), file.name))]
            }
        });
        Invocation { arguments, input: String::new() }
    }

    fn interactive(&self, at: Destination<'_>) -> Invocation {
        let is_tnftp = self.program == Program::Tnftp;
        let does = match self.does {
            _ if !self.script.is_empty() => self.script.clone(),
            Does::List => "ls pub".to_owned(),
            Does::Get(file) => format!("get pub/{0} {0}", file.name),
            Does::Put(file) => format!("put ./{0} ./{1}{0}", file.name, self.upload()),
        };
        let epsv = match (is_tnftp, at.v6, self.mode.is_extended()) {
            (_, true, _) | (true, false, true) | (false, false, false) => "",
            (true, false, false) => "epsv4 off\n",
            (false, false, true) => "epsv4\n",
        };
        let (user, password) = (self.user, self.password);
        let input = format!("{epsv}open {} {}\nuser {user} {password}\nbinary\n{does}\nquit\n", at.host, at.port);
        let mut arguments = vec![if is_tnftp { "tnftp" } else { "inetutils-ftp" }, "-n", "-v"];
        arguments.push(if self.mode.is_passive() { "-p" } else { "-A" });
        let patience = (self.patience + 4).to_string();
        if is_tnftp {
            arguments.extend(["-q", &patience]);
        }
        Invocation { arguments: arguments.into_iter().map(str::to_owned).collect(), input }
    }

    fn python(&self, program: String) -> Invocation {
        Invocation { arguments: ["/usr/bin/python3", "-c", &program].map(str::to_owned).to_vec(), input: String::new() }
    }

    fn ftplib(&self, at: Destination<'_>) -> String {
        let does = match self.does {
            _ if !self.script.is_empty() => self.script.clone(),
            Does::List => "f.cwd('pub')\nf.retrlines('LIST')".to_owned(),
            Does::Get(file) => format!("f.retrbinary('RETR pub/{0}', open('{0}', 'wb').write)", file.name),
            Does::Put(file) => format!("f.storbinary('STOR {}{1}', open('{1}', 'rb'))", self.upload(), file.name),
        };
        let class = if self.tls == Tls::None { "FTP" } else { "FTP_TLS" };
        let context = if self.tls == Tls::None { "" } else { ", context=ssl._create_unverified_context()" };
        // ftplib says EPSV and EPRT over IPv6 only.
        let extended = match self.mode.is_extended() && !at.v6 {
            true => {
                "    def makepasv(self):\n        \
                 return ftplib.parse229(self.sendcmd('EPSV'), self.sock.getpeername())\n    \
                 def sendport(self, host, port):\n        return self.sendcmd('EPRT |1|%s|%d|' % (host, port))\n"
            }
            false => "    pass\n",
        };
        format!(
            "import ftplib, ssl, sys, time\nclass F(ftplib.{class}):\n{extended}\
             f = F(timeout={}{context})\nf.set_pasv({})\nf.connect('{}', {})\nf.login('{}', '{}')\n{}\
             {does}\nprint(f.lastresp)\nf.quit()\n",
            self.patience,
            if self.mode.is_passive() { "True" } else { "False" },
            at.host,
            at.port,
            self.user,
            self.password,
            if self.tls == Tls::None { "" } else { "f.prot_p()\n" }
        )
    }
}

/// Logs in and does what the script says, which has `say(command)`, `line()` and a listener on port 51234.
fn raw(at: Destination<'_>, script: &str) -> String {
    format!(
        "import socket, time\n\
         c = socket.create_connection(('{}', {}), 8)\n\
         def line():\n    text = c.recv(500).decode()\n    print(text.strip())\n    return text\n\
         def say(text):\n    c.sendall(text.encode())\n\
         line()\n\
         for command in 'USER tester', 'PASS secret', 'TYPE I':\n    say(command + '\\r\\n')\n    line()\n\
         listener = socket.create_server(('', 51234))\nlistener.settimeout(6)\nc.settimeout(5)\n{script}\n",
        at.host, at.port
    )
}

/// Where a server is.
#[derive(Clone, Copy)]
struct Destination<'a> {
    host: &'a str,
    port: u16,
    v6: bool,
}

impl Destination<'_> {
    fn authority(self) -> String {
        if self.v6 { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }
}
