//! Where captures are kept, and their making by `ftpgen` and `editcap`.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::captures::{Capture, Recipe};
use crate::process;

/// A folder of captures of one scale. What is in it is kept; what is missing is made when asked for.
#[derive(Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    scale: f64,
}

impl Folder {
    /// The captures to be measured, as the environment says.
    ///
    /// # Errors
    /// A scale that is no positive number.
    pub(crate) fn full() -> Result<Folder, Box<dyn Error>> {
        let scale = env::var("FTPWHY_BENCH_SCALE").unwrap_or_else(|_| "1".to_owned());
        let scale = scale
            .parse()
            .ok()
            .filter(|scale: &f64| scale.is_finite() && *scale > 0.0)
            .ok_or_else(|| format!("FTPWHY_BENCH_SCALE={scale} is no scale; write it as 0.01"))?;
        let own = Folder::of_scale(scale);
        Ok(Folder { path: env::var_os("FTPWHY_BENCH_DATA").map_or(own.path, PathBuf::from), scale })
    }

    /// The same captures, a tenth as big.
    pub(crate) fn tenth(&self) -> Folder {
        Folder::of_scale(self.scale / 10.0)
    }

    fn of_scale(scale: f64) -> Folder {
        Folder { path: kept().join(scale.to_string()), scale }
    }

    /// Where a capture is; made first if it is not there yet.
    ///
    /// # Errors
    /// The generator is absent, or it or `editcap` fails.
    pub(crate) fn provide(&self, capture: &Capture) -> Result<PathBuf, Box<dyn Error>> {
        let file = self.path.join(capture.name);
        if file.exists() {
            return Ok(file);
        }
        fs::create_dir_all(&self.path)?;
        eprintln!("making {}", file.display());
        let part = self.path.join(format!("{}.part", capture.name));
        process::succeed(&mut self.maker(capture, &part)?)?;
        fs::rename(part, &file)?;
        Ok(file)
    }

    fn maker(&self, capture: &Capture, out: &Path) -> Result<Command, Box<dyn Error>> {
        if let Recipe::Pcapng(original) = capture.recipe {
            let mut editcap = Command::new("editcap");
            editcap.args(["-F", "pcapng"]).arg(self.provide(original)?).arg(out);
            return Ok(editcap);
        }
        let mut ftpgen = Command::new(generator()?);
        ftpgen.args(arguments(&capture.recipe, self.scale)).arg("--out").arg(out);
        ftpgen.arg("--truth").arg(self.truth(capture)).arg("--detail").arg(self.detail(capture));
        Ok(ftpgen)
    }

    /// What is in a capture: totals, as one JSON object.
    pub(crate) fn truth(&self, capture: &Capture) -> PathBuf {
        self.path.join(format!("{}.truth.json", capture.generated().name))
    }

    /// What is in a capture: a JSON object a session.
    pub(crate) fn detail(&self, capture: &Capture) -> PathBuf {
        self.path.join(capture.generated().name).with_extension("detail.jsonl")
    }
}

fn arguments(recipe: &Recipe, scale: f64) -> Vec<String> {
    match recipe {
        Recipe::Kind(kind) => vec![kind.to_string(), "--scale".into(), scale.to_string()],
        Recipe::Crowd { sessions, rate } => {
            let sessions = (sessions * scale).ceil();
            ["many", "--sessions", &sessions.to_string(), "--rate", &(rate * scale).to_string()]
                .map(String::from)
                .into()
        }
        Recipe::Pcapng(original) => arguments(&original.recipe, scale),
    }
}

/// The folder `bench-data` in cargo's target folder.
fn kept() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench-data")
}

/// The generator, compiled once.
fn generator() -> Result<PathBuf, Box<dyn Error>> {
    let program = kept().join("ftpgen");
    if !program.exists() {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/bench");
        let source = env::var_os("FTPWHY_BENCH").map_or(beside, PathBuf::from).join("ftpgen.rs");
        if !source.exists() {
            return Err(format!("no generator at {}; set FTPWHY_BENCH to its folder", source.display()).into());
        }
        let mut rustc = Command::new("rustc");
        process::succeed(rustc.args(["-O", "--edition", "2021", "-o"]).arg(&program).arg(source))?;
    }
    Ok(program)
}
