//! Rows as a table in Markdown.

use std::{fmt::Write as _, time::Duration};

use crate::{
    case::{Row, Verdict},
    neighbour::Seen,
};

/// The table of all rows, and a line of sums.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| case | what it does | it got | neighbour right | p99 alone | p99 beside | MiB before, at most, after \
         | descriptors | slots | verdict |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let _ = writeln!(text, "{}", line(row));
    }
    let count = |verdict| rows.iter().filter(|row| row.verdict() == verdict).count();
    let [held, broken] = [Verdict::Held, Verdict::Broken].map(count);
    let slowed = rows.iter().filter(|row| is_slowed(row)).count();
    let _ = writeln!(
        text,
        "\n{} cases: {held} held, {broken} broken; the neighbour's p99 more than doubled beside {slowed}",
        rows.len()
    );
    text
}

/// A row as a line of the table.
#[must_use]
pub fn line(row: &Row) -> String {
    let got: Vec<String> = row
        .got
        .iter()
        .map(|(got, count)| format!("{got} ×{count}"))
        .collect();
    let mebibytes = [row.before.resident, row.after.peak, row.after.resident].map(|bytes| (bytes >> 20).to_string());
    let verdict = match row.verdict() {
        Verdict::Held => "held".to_owned(),
        Verdict::Broken => format!("BROKEN: {}", row.harm.join("; ")),
    };
    format!(
        "| {} | {} | {} | {}+{} | {} | {}{} | {} | {} → {} | {} → {} | {verdict} |",
        row.case.name,
        row.case.does,
        got.join(", "),
        row.calm.right,
        row.attacked.right,
        p99(&row.calm),
        p99(&row.attacked),
        if is_slowed(row) { " (!)" } else { "" },
        mebibytes.join(", "),
        row.before.descriptors,
        row.after.descriptors,
        row.before.slots,
        row.after.slots,
    )
}

/// More than doubled, and by more than what a busy machine does by itself.
fn is_slowed(row: &Row) -> bool {
    let (calm, attacked) = (row.calm.p99(), row.attacked.p99());
    attacked > calm * 2 && attacked > calm + Duration::from_millis(2)
}

fn p99(seen: &Seen) -> String {
    format!("{:.1} ms", seen.p99().as_secs_f64() * 1e3)
}
