//! Capture filters in libpcap's language (`pcap-filter(7)`), applied to frames that are there already.

use std::collections::HashMap;
use std::str::FromStr;

use thiserror::Error;

use self::program::Program;
use crate::packet::Frame;

/// An expression that libpcap understands.
#[derive(Clone, Debug)]
pub struct Filter {
    expression: String,
}

/// A filter that cannot be used.
#[derive(Debug, Error)]
#[error("cannot filter by '{expression}': {why}")]
pub struct FilterError {
    expression: String,
    why: String,
}

/// LINKTYPE_ETHERNET: expressions are checked against it before any frame is there.
const ETHERNET: u32 = 1;

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(expression: &str) -> Result<Filter, FilterError> {
        let expression = expression.to_owned();
        match Program::compile(&expression, ETHERNET) {
            Ok(_) => Ok(Filter { expression }),
            Err(why) => Err(FilterError { expression, why }),
        }
    }
}

impl Filter {
    /// The filter, ready for frames.
    pub fn ready(&self) -> Sieve {
        Sieve { filter: self.clone(), programs: HashMap::new() }
    }
}

/// A filter with its programs, one for every link type that it met: the same words are other bytes behind another header.
pub struct Sieve {
    filter: Filter,
    programs: HashMap<u32, Option<Program>>,
}

impl Sieve {
    /// The filter's words.
    pub fn expression(&self) -> &str {
        &self.filter.expression
    }

    /// Whether the filter lets a frame pass. On a link type that libpcap does not know, or for which the expression makes
    /// no sense, everything passes: nothing is lost unseen.
    pub fn passes(&mut self, frame: &Frame<'_>) -> bool {
        let compile = || Program::compile(&self.filter.expression, frame.link_type).ok();
        let program = self.programs.entry(frame.link_type).or_insert_with(compile);
        program.as_ref().is_none_or(|program| program.passes(frame.bytes))
    }
}

#[cfg(feature = "live")]
mod program {
    use pcap::{BpfProgram, Capture, Error, Linktype};

    /// The value that libpcap has in memory for a link type of a file: another one for raw IP only, of the link types that
    /// are decoded (libpcap `pcap-common.c`, `linktype_to_dlt`).
    fn dlt(link_type: u32) -> i32 {
        const LINKTYPE_RAW: u32 = 101;
        const DLT_RAW: i32 = 12;
        match link_type {
            LINKTYPE_RAW => DLT_RAW,
            other => i32::try_from(other).unwrap_or(-1),
        }
    }

    /// An expression as bytes of a Berkeley packet filter.
    pub(super) struct Program(BpfProgram);

    impl Program {
        pub(super) fn compile(expression: &str, link_type: u32) -> Result<Program, String> {
            let compiled =
                || -> Result<BpfProgram, Error> { Capture::dead(Linktype(dlt(link_type)))?.compile(expression, true) };
            compiled().map(Program).map_err(|why| format!("{why}; the language is tcpdump's, see pcap-filter(7)"))
        }

        pub(super) fn passes(&self, bytes: &[u8]) -> bool {
            self.0.filter(bytes)
        }
    }
}

#[cfg(not(feature = "live"))]
mod program {
    /// There is none without libpcap.
    pub(super) enum Program {}

    impl Program {
        pub(super) fn compile(expression: &str, _: u32) -> Result<Program, String> {
            Err(format!(
                "this ftpwhy was built without libpcap; run tcpdump -r FILE -w - '{expression}' | ftpwhy replay -"
            ))
        }

        pub(super) fn passes(&self, _: &[u8]) -> bool {
            match *self {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "live")]
    fn frame(link_type: u32, bytes: &[u8]) -> Frame<'_> {
        let at = crate::cite::At::default();
        Frame { at, link_type, interface: 0, direction: None, bytes, original_len: bytes.len() as u32 }
    }

    #[cfg(feature = "live")]
    #[test]
    fn the_same_words_fit_two_link_types() {
        let mut filter = Filter::from_str("ip").expect("ip is an expression").ready();
        let mut ethernet = [0_u8; 34];
        ethernet[12..15].copy_from_slice(&[8, 0, 0x45]);
        assert!(filter.passes(&frame(1, &ethernet)));
        assert!(!filter.passes(&frame(1, &[0; 34])));
        assert!(filter.passes(&frame(101, &ethernet[14..])));
        assert!(!filter.passes(&frame(101, &[0x60; 40])));
    }

    #[test]
    fn what_cannot_be_used_is_named_with_a_remedy() {
        let error = Filter::from_str("port ftp ftp").expect_err("that is no expression").to_string();
        let remedy = if cfg!(feature = "live") { "pcap-filter(7)" } else { "tcpdump -r FILE" };
        assert!(error.contains("'port ftp ftp'") && error.contains(remedy), "{error}");
    }
}
