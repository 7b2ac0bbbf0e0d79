//! What the terminal can do: its width, and whether it wants colors (<https://no-color.org>).

use std::env;
use std::fmt::{self, Display, Formatter};
use std::io::IsTerminal;

/// Columns of the terminal behind standard output; none if it is no terminal.
#[cfg(unix)]
#[allow(unsafe_code)]
pub fn width() -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one `winsize` through its argument, which points to one that lives beyond the call; any
    // descriptor number is allowed, one that is no terminal gives an error.
    let status = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) };
    (status == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Columns of the terminal behind standard output; not known here.
#[cfg(not(unix))]
pub fn width() -> Option<usize> {
    None
}

/// Whether what is written to `out` should be colored: `NO_COLOR` forbids it, `CLICOLOR_FORCE` wants it, else a terminal
/// that is not dumb does.
pub fn wants_color(out: &impl IsTerminal) -> bool {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    let forced = set("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    decide(set("NO_COLOR").is_some(), forced, out.is_terminal() && !dumb)
}

fn decide(forbidden: bool, forced: bool, able: bool) -> bool {
    !forbidden && (forced || able)
}

/// A way to write, as the parameters of the control sequence SGR (ECMA-48 8.3.117).
#[derive(Clone, Copy)]
pub(super) enum Style {
    Good,
    Bad,
    Doubtful,
    Strong,
    Quiet,
    Control,
    Data,
}

impl Style {
    fn parameters(self) -> &'static str {
        match self {
            Style::Good => "32",
            Style::Bad => "1;31",
            Style::Doubtful => "33",
            Style::Strong => "1",
            Style::Quiet => "2",
            Style::Control => "34",
            Style::Data => "31",
        }
    }
}

/// Writes in style, or plainly.
#[derive(Clone, Copy)]
pub(super) struct Brush {
    /// The terminal wants colors.
    pub(super) color: bool,
}

impl Brush {
    pub(super) fn paint<T: Display>(self, style: Style, what: T) -> Painted<T> {
        Painted { style: self.color.then_some(style), what }
    }
}

/// Something in a style.
pub(super) struct Painted<T> {
    style: Option<Style>,
    what: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.style {
            Some(style) => write!(f, "\x1b[{}m{}\x1b[0m", style.parameters(), self.what),
            None => self.what.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_has_the_last_word_on_color() {
        assert!(!decide(true, true, true));
        assert!(decide(false, true, false));
        assert!(decide(false, false, true));
        assert!(!decide(false, false, false));
    }

    #[test]
    fn paints_only_if_wanted() {
        assert_eq!(Brush { color: true }.paint(Style::Data, "D").to_string(), "\x1b[31mD\x1b[0m");
        assert_eq!(Brush { color: false }.paint(Style::Data, "D").to_string(), "D");
    }
}
