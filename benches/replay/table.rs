//! Rows of text, aligned.

/// Rows with their columns as wide as the widest cell: the first to the left, numbers and what follows to the right.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    rows.iter().map(|row| line(row, &widths)).collect()
}

fn line(row: &[String], widths: &[usize]) -> String {
    let mut cells = row.iter().zip(widths);
    let first = cells.next().map_or(String::new(), |(cell, width)| format!("{cell:<width$}"));
    cells.fold(first, |line, (cell, width)| format!("{line}   {cell:>width$}")) + "\n"
}
