//! Reads capture files: all files of one tap as one stream of frames in time order.
//!
//! Formats: pcap (draft-ietf-opsawg-pcap) with micro- and nanoseconds and the "modified" one of Kuznetzov, and
//! pcapng (draft-ietf-opsawg-pcapng); plain, gzip (RFC 1952) or zstd (RFC 8878). Everything is recognised by its
//! first bytes, never by its name.
//!
//! Read `tap` first; it merges `stream`s, one a file. A stream is a `buffer` of bytes from an `input` and a
//! walker, `pcap` or `pcapng`, that finds the records in it. A frame is lent from the buffer, never copied.
//! What a capture says about itself, and what was wrong with it, gathers in [`Facts`]. [`PcapngWriter`] goes the other way;
//! several captures of an annotated file are told apart by their [`Mark`]s.

mod buffer;
mod error;
mod expand;
mod facts;
mod input;
mod interface;
mod mark;
mod pcap;
mod pcapng;
mod record;
mod state;
mod stream;
mod tap;
mod writer;
mod zstd;

#[cfg(test)]
mod samples;

pub use error::FileError;
pub use expand::expand;
pub use facts::{Compression, Facts, FileFacts, Format, Interface, Note, NoteKind};
pub use input::comes_once;
pub use mark::Mark;
pub use record::MAX_PACKET;
pub use state::read_states;
pub use tap::{TapReader, marks};
pub use writer::PcapngWriter;
