//! What an annotated file says of each capture that it holds, beside the packets: what verdicts rest on and no packet shows.
//!
//! It is one JSON object, `{"ftpwhy": {...}}`, in the comment of every interface of that capture.

use serde::{Deserialize, Serialize};

use crate::line::Place;

/// One capture of an annotated file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its number within the file, in line order if the places are given.
    pub capture: u32,
    /// What people know it by: the name of its file.
    pub name: String,
    /// Where it was taken, if the user said so.
    #[serde(with = "PlaceName")]
    pub place: Place,
    /// Taps that it was found to be: two, if its host forwards.
    pub taps: u32,
    /// Time of its first packet, in nanoseconds since 1970.
    pub began: Option<i64>,
    /// Time of its latest packet, in nanoseconds since 1970.
    pub ended: i64,
    /// It had packets besides control connections.
    pub other_traffic: bool,
    /// Sessions with a transfer that went through though its data connection was not in the capture.
    pub data_unseen: u64,
    /// A file ended in mid-record or could not be read to its end.
    pub cut: bool,
    /// Ports of control connections.
    pub control_ports: Vec<u16>,
    /// The server's passive range: its lowest and its highest port.
    pub passive_range: Option<(u16, u16)>,
}

/// How a [`Place`] is written.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Place", rename_all = "lowercase")]
enum PlaceName {
    Client,
    Between,
    Server,
    Unknown,
}

/// The comment.
#[derive(Serialize, Deserialize)]
struct Comment<M> {
    ftpwhy: M,
}

impl Mark {
    /// The comment that holds it.
    pub(super) fn comment(&self) -> String {
        serde_json::to_string(&Comment { ftpwhy: self }).expect("numbers and texts can be written")
    }

    /// What a comment holds, if it is one of these.
    pub(super) fn read(comment: &[u8]) -> Option<Mark> {
        serde_json::from_slice(comment).ok().map(|Comment { ftpwhy }| ftpwhy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let mark = Mark {
            capture: 1,
            name: "server \"s\".pcap".into(),
            place: Place::Server,
            taps: 1,
            began: Some(1_764_000_000_000_000_001),
            ended: 1_764_000_000_000_000_002,
            other_traffic: true,
            data_unseen: 2,
            cut: false,
            control_ports: vec![21, 990],
            passive_range: Some((50_000, 50_100)),
        };
        let comment = mark.comment();
        assert!(
            comment.starts_with(r#"{"ftpwhy":{"capture":1,"name":"server \"s\".pcap","place":"server","#),
            "{comment}"
        );
        assert_eq!(Mark::read(comment.as_bytes()), Some(mark));
    }

    #[test]
    fn other_comments_are_none() {
        for comment in [&b""[..], b"an interface", b"{}", br#"{"ftpwhy":{}}"#, b"{\"ftpwhy\":[\xff]}"] {
            assert_eq!(Mark::read(comment), None);
        }
    }
}
