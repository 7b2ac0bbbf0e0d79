//! From what was typed to files: comma lists and patterns of rotated captures.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::FileError;
use super::input::is_stdin;

/// The files that `values` name, each once.
///
/// A value is the name of a file, or a list of names and patterns (`*`, `?`, `[..]`, `**`) between commas; `-` is
/// standard input. A file of exactly that name comes before both other readings. The files of a pattern come in
/// alphabetical order, directories left out. A name without a file is passed on, for
/// [`TapReader::open`](super::TapReader::open) to say so.
///
/// # Errors
/// [`FileError::NoMatch`] for a pattern (or an empty value) that gives no file, [`FileError::Pattern`] for one that
/// cannot be understood, and what the system says of a directory that cannot be listed.
pub fn expand(values: &[String]) -> Result<Vec<PathBuf>, FileError> {
    let mut files = Vec::new();
    for value in values {
        files.extend(files_of(value)?);
    }
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(fs::canonicalize(file).unwrap_or_else(|_| file.clone())));
    Ok(files)
}

fn files_of(value: &str) -> Result<Vec<PathBuf>, FileError> {
    if is_file_name(value) {
        return Ok(vec![PathBuf::from(value)]);
    }
    let mut files = Vec::new();
    for part in value.split(',').filter(|part| !part.is_empty()) {
        if is_file_name(part) || !part.contains(['*', '?', '[']) {
            files.push(PathBuf::from(part));
        } else {
            files.extend(matches(part)?);
        }
    }
    if files.is_empty() { Err(FileError::NoMatch(value.to_owned())) } else { Ok(files) }
}

fn is_file_name(value: &str) -> bool {
    let path = Path::new(value);
    is_stdin(path) || path.exists()
}

fn matches(pattern: &str) -> Result<Vec<PathBuf>, FileError> {
    let found = glob::glob(pattern).map_err(|why| FileError::Pattern { pattern: pattern.to_owned(), why: why.msg })?;
    let mut files = Vec::new();
    for path in found {
        let path = path.map_err(|why| {
            let folder = why.path().to_owned();
            FileError::from_io(&folder, why.into())
        })?;
        if !path.is_dir() {
            files.push(path);
        }
    }
    if files.is_empty() { Err(FileError::NoMatch(pattern.to_owned())) } else { Ok(files) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::samples::Folder;
    use super::*;

    fn names(folder: &Folder, values: &[&str]) -> Result<Vec<String>, FileError> {
        let inside = |value: &str| folder.path(value).to_str().unwrap().to_owned();
        let values: Vec<String> = values.iter().map(|value| inside(value)).collect();
        let files = expand(&values)?;
        Ok(files.iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn folder() -> Folder {
        let folder = Folder::new();
        for name in ["b.pcap", "a.pcap", "x[1].pcap", "x1.pcap", "c,d.pcap", "c"] {
            folder.write(name, b"");
        }
        fs::create_dir(folder.path("dir.pcap")).unwrap();
        folder
    }

    #[test]
    fn a_pattern_gives_files_in_order_and_no_directories() {
        assert_eq!(names(&folder(), &["[ab].*"]).unwrap(), ["a.pcap", "b.pcap"]);
        assert_eq!(
            names(&folder(), &["d*.pcap", "a*"]).unwrap_err().to_string().split(": ").nth(1).unwrap(),
            "no file matches this pattern; look at what is there with"
        );
    }

    #[test]
    fn an_existing_name_comes_before_patterns_and_lists() {
        assert_eq!(names(&folder(), &["x[1].pcap"]).unwrap(), ["x[1].pcap"]);
        assert_eq!(names(&folder(), &["c,d.pcap"]).unwrap(), ["c,d.pcap"]);
    }

    #[test]
    fn a_list_may_mix_names_and_patterns_and_names_each_file_once() {
        let folder = folder();
        let b = folder.path("b.pcap").to_str().unwrap().to_owned();
        let value = format!("{b},,{},-,absent", folder.path("?.pcap").to_str().unwrap());
        let want = [PathBuf::from(&b), folder.path("a.pcap"), PathBuf::from("-"), PathBuf::from("absent")];
        assert_eq!(expand(&[value, b, "-".to_owned()]).unwrap(), want);
    }

    #[test]
    fn nonsense_is_named() {
        let error = |value: &str| expand(&[value.to_owned()]).unwrap_err();
        assert!(matches!(error(""), FileError::NoMatch(value) if value.is_empty()));
        assert!(matches!(error("a[b"), FileError::Pattern { pattern, .. } if pattern == "a[b"));
        assert!(matches!(error("a,no*such"), FileError::NoMatch(value) if value == "no*such"));
    }
}
