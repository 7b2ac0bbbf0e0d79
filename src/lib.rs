//! `ftpwhy` answers one question: *this FTP transfer failed; whose firewall dropped which packet, and what do I do about
//! it?*
//!
//! # The floors
//!
//! A module uses only floors below its own. Floors 0 to 4 do no input or output, read no clock and spawn nothing: packets
//! and times come in as arguments.
//!
//! ```text
//! 6  cli  replay  watch  annotate  arguments; from captures to judged sessions    clap
//!    settings  generate            defaults set elsewhere; manual, completions      clap_complete, clap_mangen
//! 5  capture          report       packets in | words out                         pcap, pcap-file, flate2, ruzstd | serde_json, csv, maud, prettytable, jiff
//! 4  verdict                       a session -> verdicts, one small pure function a rule
//! 3  session                       packets of each tap -> views -> sessions
//! 2  tcp    ftp    netfilter       connections and streams | commands and replies | traces and rulesets
//! 1  packet                        bytes -> packet                                pnet
//! 0  line  cite  few  plain        taps and stretches | time and frame | a short list | printable text
//!    language                      sentences for people, and their translations
//! ```
//!
//! # How a verdict comes about
//!
//! [`capture::file::TapReader`] lends frames, [`packet::Decoder`] makes segments and ICMP errors of them,
//! [`session::tracker::Tracker`] follows the sessions of one tap and yields a [`session::view::View`] of each,
//! [`session::join`] puts the views of all taps together, [`verdict::judge`] asks the rules of [`verdict::RULES`], and
//! [`report::Reporter`] says it. [`replay`] is that sentence as code.
//!
//! Start reading at [`mod@line`] (what a verdict names), then [`verdict`] (how it is found), then [`session::tracker`].

pub mod annotate;
pub mod capture;
pub mod cite;
pub mod cli;
pub mod few;
pub mod ftp;
pub mod generate;
pub mod language;
mod legs;
pub mod line;
pub mod netfilter;
pub mod packet;
mod plain;
pub mod replay;
pub mod report;
pub mod session;
pub mod settings;
pub mod tcp;
pub mod verdict;
#[cfg(all(feature = "live", target_os = "linux"))]
pub mod watch;
