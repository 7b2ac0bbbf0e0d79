//! FTP servers: how each is configured and started, with short timeouts, in a private view of the machine's files.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::files::FILES;
use crate::host::{Fallible, Host, output};
use crate::world;

/// A server program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Program {
    Vsftpd,
    PureFtpd,
    Proftpd,
    Pyftpdlib,
    /// `stub.py`, for what no real one says; its options are the text of its 227.
    Stub,
    /// None: the port is closed.
    Absent,
}

/// How a session is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    None,
    Explicit,
    Implicit,
}

/// A server.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) program: Program,
    pub(crate) port: u16,
    pub(crate) tls: Tls,
    /// What is added to its configuration, in its own words.
    pub(crate) options: String,
}

/// Where passive data connections go.
pub(crate) const PASSIVE: (u16, u16) = (40000, 40010);

const STUB: &str = include_str!("stub.py");

/// Accounts, a PAM service and a certificate, made for one run.
pub(crate) fn accounts(folder: &Path) -> Fallible<()> {
    let fail = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(fail)?;
    let password = output(Command::new("openssl").args(["passwd", "-6", "-salt", "laboratory", "secret"]), "")?;
    let pam = "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
    let passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n\
                  ftp:x:102:65534::/srv/ftp:/usr/sbin/nologin\ntester:x:2000:2000::/home/tester:/bin/sh\n";
    let files = [
        ("passwd", passwd.to_owned()),
        ("group", "root:x:0:\nnogroup:x:65534:\ntester:x:2000:\n".to_owned()),
        ("shadow", format!("root:*:1::::::\nftp:*:1::::::\ntester:{}:1::::::\n", password.trim())),
        ("pam", pam.to_owned()),
    ];
    for (name, content) in files {
        fs::write(folder.join(name), content).map_err(fail)?;
    }
    let mut request = Command::new("openssl");
    request
        .current_dir(folder)
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=lab"]);
    output(request.args(["-keyout", "key.pem", "-out", "cert.pem"]), "")?;
    let pem = ["key.pem", "cert.pem"].map(|name| fs::read_to_string(folder.join(name)).unwrap_or_default());
    fs::write(folder.join("both.pem"), pem.concat()).map_err(fail)
}

impl Server {
    /// Starts it and waits until it listens. Returns its configuration.
    pub(crate) fn start(&self, host: &Host, address: &str, accounts: &Path) -> Fallible<String> {
        if self.program == Program::Absent {
            return Ok("No server runs.\n".to_owned());
        }
        let etc = accounts.display();
        host.run(&format!(
            "mount -t tmpfs none /srv; mkdir -p /run/vsftpd/empty /run/proftpd /run/lab
             for file in passwd shadow group; do mount --bind {etc}/$file /etc/$file; done
             mount --bind {etc}/pam /etc/pam.d/vsftpd
             for root in /home/tester /srv/ftp; do mkdir -p $root/pub/secret $root/upload; done"
        ))?;
        for root in ["/home/tester", "/srv/ftp"] {
            for file in FILES {
                host.write(&format!("{root}/pub/{}", file.name), file.content())?;
            }
        }
        host.run("chown -R 2000:2000 /home/tester; chown ftp /srv/ftp/upload; chmod 700 /home/tester/pub/secret; chown root /home/tester/pub/secret")?;
        let v6 = address.contains(':');
        let (config, arguments) = self.config(address, v6, accounts);
        host.write("/run/lab/config", &config)?;
        let log = fs::File::create(host.path("/run/lab/log")).map_err(|error| error.to_string())?;
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        let mut command = host.command("env");
        command.arg(format!("LD_LIBRARY_PATH={}", world::libraries().display())).args(&arguments);
        command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().map_err(|error| error.to_string())?;
        self.wait(host)?;
        Ok(if config.is_empty() { arguments.join(" ") + "\n" } else { config })
    }

    fn wait(&self, host: &Host) -> Fallible<()> {
        for _ in 0..100 {
            if host.run(&format!("ss -Hltn 'sport = :{}'", self.port))?.contains("LISTEN") {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(host.path("/run/lab/log")).unwrap_or_default();
        Err(format!("{:?} does not listen: {log}", self.program))
    }

    /// Its configuration file and its command.
    fn config(&self, address: &str, v6: bool, accounts: &Path) -> (String, Vec<String>) {
        let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
        let sbin = world::unpacked().join("usr/sbin");
        match self.program {
            Program::Vsftpd => (self.vsftpd(v6, accounts), words("vsftpd /run/lab/config".to_owned())),
            Program::PureFtpd => (String::new(), words(self.pure_ftpd(&sbin, v6, accounts))),
            Program::Proftpd => {
                let command = format!("{}/proftpd -n -c /run/lab/config", sbin.display());
                (self.proftpd(address, v6, accounts), words(command))
            }
            Program::Pyftpdlib => {
                let address = if v6 { "::" } else { address };
                (self.pyftpdlib(address), words("/usr/bin/python3 /run/lab/config".to_owned()))
            }
            Program::Stub => {
                let mut command: Vec<String> = words(format!("/usr/bin/python3 /run/lab/config {}", self.port));
                command.push(self.options.clone());
                (STUB.to_owned(), command)
            }
            Program::Absent => (String::new(), Vec::new()),
        }
    }

    fn vsftpd(&self, v6: bool, accounts: &Path) -> String {
        let (listen, listen_v6) = if v6 { ("NO", "YES") } else { ("YES", "NO") };
        let tls = match self.tls {
            Tls::None => String::new(),
            tls => format!(
                "ssl_enable=YES\nrsa_cert_file={0}/cert.pem\nrsa_private_key_file={0}/key.pem\n\
                 force_local_logins_ssl=NO\nforce_local_data_ssl=NO\nrequire_ssl_reuse=NO\nimplicit_ssl={1}\n",
                accounts.display(),
                if tls == Tls::Implicit { "YES" } else { "NO" }
            ),
        };
        format!(
            "listen={listen}\nlisten_ipv6={listen_v6}\nlisten_port={}\nbackground=NO\nanonymous_enable=YES\n\
             local_enable=YES\nwrite_enable=YES\nanon_upload_enable=YES\nanon_root=/srv/ftp\nchroot_local_user=YES\n\
             allow_writeable_chroot=YES\npam_service_name=vsftpd\nconnect_from_port_20=YES\npasv_min_port={}\n\
             pasv_max_port={}\nconnect_timeout=5\naccept_timeout=10\ndata_connection_timeout=6\n\
             idle_session_timeout=60\nsecure_chroot_dir=/run/vsftpd/empty\nseccomp_sandbox=NO\n{tls}{}",
            self.port, PASSIVE.0, PASSIVE.1, self.options
        )
    }

    fn pure_ftpd(&self, sbin: &Path, v6: bool, accounts: &Path) -> String {
        let tls = match self.tls {
            Tls::None => String::new(),
            _ => format!("-Y 1 -2 {}/both.pem", accounts.display()),
        };
        format!(
            "{}/pure-ftpd -{} -S {} -p {}:{} -l unix -H -I 2 -M -x -g /run/lab/pid {tls} {}",
            sbin.display(),
            if v6 { 6 } else { 4 },
            self.port,
            PASSIVE.0,
            PASSIVE.1,
            self.options
        )
    }

    fn proftpd(&self, address: &str, v6: bool, accounts: &Path) -> String {
        // Options add up: one that is set in a scenario stands alone.
        let lenient = if self.options.contains("TLSOptions") { "" } else { "TLSOptions NoSessionReuseRequired\n" };
        let tls = match self.tls {
            Tls::None => String::new(),
            _ => format!(
                "ModulePath {}/usr/lib/proftpd\nLoadModule mod_tls.c\nTLSEngine on\nTLSRSACertificateFile {1}/cert.pem\n\
                 TLSRSACertificateKeyFile {1}/key.pem\n{lenient}TLSRequired off\nTLSLog /run/lab/tls.log\n",
                world::unpacked().display(),
                accounts.display()
            ),
        };
        format!(
            "{tls}ServerName lab\nServerType standalone\nDefaultAddress {address}\nPort {}\nUseIPv6 {}\nUser nobody\n\
             Group nogroup\nAuthPAM off\nAuthOrder mod_auth_unix.c\nRequireValidShell off\nUseReverseDNS off\n\
             WtmpLog off\nDelayEngine off\nScoreboardFile /run/lab/score\nSystemLog /run/lab/proftpd.log\n\
             PidFile /run/lab/pid\nPassivePorts {} {}\nTimeoutNoTransfer 15\nTimeoutStalled 6\nTimeoutIdle 60\n\
             AllowOverwrite on\nAllowStoreRestart on\nAllowRetrieveRestart on\nDefaultRoot ~\n{}\
             <Anonymous /srv/ftp>\n  User ftp\n  Group nogroup\n  UserAlias anonymous ftp\n  RequireValidShell off\n\
             </Anonymous>\n",
            self.port,
            if v6 { "on" } else { "off" },
            PASSIVE.0,
            PASSIVE.1,
            self.options
        )
    }

    fn pyftpdlib(&self, address: &str) -> String {
        format!(
            "from pyftpdlib.authorizers import DummyAuthorizer\n\
             from pyftpdlib.handlers import FTPHandler, PassiveDTP, ActiveDTP\n\
             from pyftpdlib.servers import ThreadedFTPServer as FTPServer\n\
             users = DummyAuthorizer()\n\
             users.add_user('tester', 'secret', '/home/tester', perm='elradfmwMT')\n\
             users.add_anonymous('/srv/ftp', perm='elr')\n\
             PassiveDTP.timeout = 10\nActiveDTP.timeout = 5\nFTPHandler.authorizer = users\n\
             FTPHandler.passive_ports = range({}, {})\nFTPHandler.timeout = 60\n{}\
             FTPServer(('{address}', {}), FTPHandler).serve_forever()\n",
            PASSIVE.0,
            PASSIVE.1 + 1,
            self.options,
            self.port
        )
    }
}
