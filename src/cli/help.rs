//! What `--help` and the manual pages tell beyond the options.
//!
//! Sections, with an empty line between two: a heading with a colon, and what is shown below it as it stands.

/// Examples of a command whose options can be set elsewhere, too, and where that is told.
macro_rules! with_settings {
    ($examples:literal) => {
        concat!(
            $examples,
            "
Settings:
  What the command line leaves out is taken from the variable in [env: ...], else
  from the configuration file, else from [default: ...]; see ftpwhy --help.
"
        )
    };
}

pub(super) const FTPWHY: &str = "\
Examples:
  ftpwhy replay --client client.pcap --server server.pcap
  ftpwhy watch --trace
  ftpwhy explain O5

Settings:
  Options with [env: FTPWHY_...] in their help need not be typed every time. The
  first of these that says something counts:
    1. the command line
    2. the variable; an empty one says nothing
    3. the configuration file: its line NAME = VALUE, the option's name without
       the dashes; lines that begin with # are comments
         control-port = 2121,2122
         passive-range = 50000-50100
    4. the default

Files:
  The configuration file is what FTPWHY_CONFIG names, else the first of these that
  is there:
    $XDG_CONFIG_HOME/ftpwhy.conf, which is usually ~/.config/ftpwhy.conf
    /etc/ftpwhy.conf

Exit status:
  0  every transfer went through
  1  a transfer or a control connection failed
  2  a capture, an argument or a setting could not be used
";

pub(super) const REPLAY: &str = with_settings!(
    "\
Examples:
  One capture; where it was taken is inferred where the packets tell:
    ftpwhy replay client.pcap
  Two ends of one line, whose clocks need not agree:
    ftpwhy replay --client client.pcap --server server.pcap
  A router between, and rotated files by a glob:
    ftpwhy replay --client c.pcap --between router.pcap --server 's.pcap*'
  From a pipe:
    tcpdump -i any -w - host 192.0.2.10 | ftpwhy replay -
  With what the server's host was before and after the failure:
    ftpwhy replay --server s.pcap --server-state before.txt --server-state after.txt
  For programs, a session a line:
    ftpwhy replay --format jsonl client.pcap
"
);

#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) const WATCH: &str = with_settings!(
    "\
Examples:
  Every interface, lo included, until Ctrl-C:
    ftpwhy watch
  The kernel names the rule that drops a packet; the capture is kept for replay:
    ftpwhy watch --trace -w out.pcapng
  Until the first failure, for an hour at most:
    ftpwhy watch --until-failure --duration 3600
"
);

#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) const RUN: &str = with_settings!(
    "\
Examples:
  ftpwhy run --trace -- curl ftp://192.0.2.10/file
  ftpwhy run -w out.pcapng -- lftp -e 'get file; quit' 192.0.2.10
"
);

#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) const SNAPSHOT: &str = with_settings!(
    "\
Examples:
  ftpwhy snapshot -o before.txt
  tcpdump -i any --immediate-mode -w server.pcap host 192.0.2.99
  ftpwhy snapshot -o after.txt
"
);

#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) const INTERFACES: &str = "\
Examples:
  ftpwhy interfaces
  ftpwhy interfaces 192.0.2.10
";

pub(super) const EXPLAIN: &str = "\
Examples:
  ftpwhy explain
  ftpwhy explain O5
  ftpwhy explain data-syn-unanswered
";

pub(super) const GENERATE: &str = "\
Examples:
  mkdir -p ~/.local/share/man/man1 && ftpwhy generate man ~/.local/share/man/man1
  ftpwhy generate completions bash >~/.local/share/bash-completion/completions/ftpwhy
  ftpwhy generate completions fish >~/.config/fish/completions/ftpwhy.fish
  ftpwhy generate completions zsh >/usr/local/share/zsh/site-functions/_ftpwhy
";
