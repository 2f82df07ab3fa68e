//! Hello in each language as text: a table of servers, and a line for each thing that is asked.

use std::fmt::Write as _;

use super::table::grid;
use crate::{
    compare::Standing,
    languages::{LanguageResult, Languages, Verdict},
};

/// Everything, with the targets.
pub(crate) fn table(languages: &Languages) -> String {
    let mut text = format!(
        "hello on {} cores: {} rounds, medians; ratios with 95 % confidence\n{}\n\n",
        languages.cores,
        languages.rounds,
        languages.versions.join(", ")
    );
    let mut rows = vec![heads()];
    for result in &languages.results {
        rows.extend(servers(result));
    }
    text += &grid(&rows);
    text += "\nCPU is the server's, user and system; p99 at half load: every server at half of the slowest one's maximum\n\n";
    let mut rows = vec![
        [
            "language",
            "peer",
            "its CPU over ours",
            "target",
            "our p99 over its at half load",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for result in &languages.results {
        rows.extend(
            result
                .verdicts
                .iter()
                .map(|verdict| judged(result, verdict)),
        );
    }
    text += &grid(&rows);
    for words in &languages.left_out {
        let _ = writeln!(text, "left out: {words}");
    }
    text
}

/// One language, as soon as it is measured.
pub(crate) fn one(result: &LanguageResult) -> String {
    let mut rows = servers(result);
    rows.extend(
        result
            .verdicts
            .iter()
            .map(|verdict| judged(result, verdict)),
    );
    grid(&rows)
}

fn heads() -> Vec<String> {
    [
        "language",
        "server",
        "req/s",
        "p50 ms",
        "p99 ms",
        "CPU µs/req",
        "faults/req",
        "half load: req/s",
        "p50 ms",
        "p99 ms",
        "peak MB",
        "errors",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn servers(result: &LanguageResult) -> Vec<Vec<String>> {
    let each = result.closed.iter().enumerate();
    each.map(|(index, standing)| server(result, standing, result.open.get(index)))
        .collect()
}

fn server(result: &LanguageResult, closed: &Standing, open: Option<&Standing>) -> Vec<String> {
    let medians = &closed.medians;
    let at_half = |value: fn(&Standing) -> f64| open.map_or("-".to_owned(), |open| format!("{:.2}", value(open)));
    let errors = medians.errors + open.map_or(0, |open| open.medians.errors);
    vec![
        result.name.to_owned(),
        closed.name.clone(),
        format!("{:.0}", medians.requests_per_second),
        format!("{:.2}", medians.p50_ms),
        format!("{:.2}", medians.p99_ms),
        format!("{:.1}", medians.cpu_us_per_request),
        format!("{:.2}", medians.minor_faults_per_request),
        format!("{:.0}", result.open_rate),
        at_half(|open| open.medians.p50_ms),
        at_half(|open| open.medians.p99_ms),
        format!("{:.0}", closed.peak_resident_bytes as f64 / 1e6),
        errors.to_string(),
    ]
}

fn judged(result: &LanguageResult, verdict: &Verdict) -> Vec<String> {
    let target = match (verdict.target, verdict.is_met()) {
        (Some(target), Some(true)) => format!("{target:.1}: met"),
        (Some(target), _) => format!("{target:.1}: missed"),
        (None, _) => "-".to_owned(),
    };
    vec![
        result.name.to_owned(),
        verdict.peer.clone(),
        verdict.cpu_ratio.to_string(),
        target,
        verdict
            .p99_ratio
            .map_or("-".to_owned(), |ratio| ratio.to_string()),
    ]
}
