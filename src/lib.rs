//! placeholder
pub mod capture;
pub mod cite;
pub mod cli;
pub mod ftp;
pub mod line;
pub mod packet;
pub mod replay;
pub mod report;
pub mod session;
pub mod tcp;
pub mod verdict;
