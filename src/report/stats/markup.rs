//! The passive ports for the page: a bar for each range.

use maud::{Markup, html};

use super::text::counts;
use super::{Range, Server, Stats};
use crate::language::{Language, say};

/// Servers that are shown.
const SHOWN: usize = 10;

/// The bars; nothing where no more than one port was tried of a server.
pub(super) fn ports(stats: &Stats, language: Language) -> Markup {
    let servers = stats.passive();
    let many =
        |server: &&Server| server.ranges.iter().any(|range| range.first != range.last) || server.ranges.len() > 1;
    html! {
        @for server in servers.iter().filter(many).take(SHOWN) {
            section.ports {
                h2 { (say!("Passive ports of {server}", server = server.ip).said(language)) }
                table {
                    @let most = server.ranges.iter().map(|range| range.openings.tried()).max().unwrap_or(1);
                    @for range in &server.ranges { (row(range, most, language)) }
                }
            }
        }
    }
}

fn row(range: &Range, most: u64, language: Language) -> Markup {
    let Range { first, last, openings } = range;
    let width = |count: u64| format!("width: {:.1}%", count as f64 * 100.0 / most as f64);
    html! {
        tr {
            th scope="row" { (first) @if first != last { "-" (last) } }
            td.bar aria-hidden="true" {
                span.worked style=(width(openings.worked)) {}
                span.failed style=(width(openings.failed)) {}
            }
            td { (counts(*openings).said(language)) }
        }
    }
}
