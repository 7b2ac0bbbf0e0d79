//! How far a long replay is, on standard error, if that is a terminal.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What takes less time than this needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar that appears when the user has waited for a second.
pub struct Progress {
    began: Instant,
    wanted: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar that has not appeared yet.
    pub fn new() -> Progress {
        Progress { began: Instant::now(), wanted: io::stderr().is_terminal(), bar: None }
    }

    /// So many bytes are read, of so many if that is known.
    pub fn update(&mut self, read: u64, total: Option<u64>) {
        if self.bar.is_none() && self.wanted && self.began.elapsed() > PATIENCE {
            self.bar = Some(bar(total));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(read);
        }
    }

    /// Writes something else to the terminal; the bar makes room for it.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Takes the bar off the screen.
    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Progress::new()
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let form = match total {
        Some(_) => "reading {bar:30} {binary_bytes} of {binary_total_bytes}, {eta} left",
        None => "reading {spinner} {binary_bytes}",
    };
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    bar.with_style(ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_are_understood() {
        for total in [None, Some(1)] {
            let bar = bar(total);
            bar.set_draw_target(ProgressDrawTarget::hidden());
            bar.set_position(1);
            assert_eq!((bar.position(), bar.length()), (1, total));
        }
    }

    #[test]
    fn a_short_replay_shows_none() {
        let mut progress = Progress::new();
        progress.update(1, Some(2));
        assert!(progress.bar.is_none());
        assert_eq!(progress.aside(|| 5), 5);
        progress.clear();
    }
}
