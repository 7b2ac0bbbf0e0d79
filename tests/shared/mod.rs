//! Where the material is that lies beside the project, not in it.
#![allow(dead_code)] // each test takes a part of it

use std::path::{Path, PathBuf};

/// A folder beside the project, or none with a word about it.
pub(crate) fn folder(variable: &str, name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(name);
    let path = std::env::var_os(variable).map_or(beside, PathBuf::from);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not here (set {variable})", path.display());
    None
}
