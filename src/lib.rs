//! placeholder
pub mod capture;
pub mod cite;
pub mod ftp;
pub mod packet;
pub mod tcp;
