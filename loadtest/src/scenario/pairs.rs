//! Two conditions in turn, round by round, and the ratio between them.

use std::{sync::Arc, time::Duration};

use crate::{
    client,
    confidence::{interval, median, ratios},
    peers::Peer,
    plan::Plan,
    progress::Progress,
    report::table,
    stats::{Measurement, Summary},
    workload::Workload,
};

/// More pairs than this measure patience.
const MAX_ROUNDS: usize = 1000;

/// One number of a result.
type Value = fn(&Summary) -> f64;

/// The results of each condition, round by round.
pub(super) struct Pairs {
    first: Vec<Summary>,
    second: Vec<Summary>,
}

/// Measures both conditions in every round; `measure` is told whether it is
/// the second one's turn. Which comes first alternates.
pub(super) fn run(
    rounds: usize,
    mut measure: impl FnMut(bool) -> anyhow::Result<Measurement>,
) -> anyhow::Result<Pairs> {
    anyhow::ensure!(
        (1..=MAX_ROUNDS).contains(&rounds),
        "--rounds {rounds} is outside 1 to {MAX_ROUNDS}"
    );
    let mut pairs = Pairs {
        first: Vec::with_capacity(rounds),
        second: Vec::with_capacity(rounds),
    };
    for round in 0..rounds {
        let second_leads = round % 2 == 1;
        for second in [second_leads, !second_leads] {
            let summary = measure(second)?.summary();
            if second {
                pairs.second.push(summary);
            } else {
                pairs.first.push(summary);
            }
        }
    }
    Ok(pairs)
}

/// One load after its warm-up.
pub(super) fn measure(
    peer: &Peer,
    workload: &Arc<Workload>,
    plan: &Plan,
    warmup: Duration,
) -> anyhow::Result<Measurement> {
    if !warmup.is_zero() {
        let warmup = Plan {
            duration: warmup,
            ..plan.clone()
        };
        client::drive(&peer.target, workload, &warmup, Progress::Silent)?;
    }
    let progress = Progress::on_terminal();
    Ok(client::drive(&peer.target, workload, plan, progress)?)
}

/// Medians of both conditions and the ratio of the second to the first.
pub(super) fn print(pairs: &Pairs, name: &str, conditions: [&str; 2], json: bool) -> anyhow::Result<()> {
    let column = |rounds: &[Summary], value: Value| -> Vec<f64> { rounds.iter().map(value).collect() };
    let measures: [(&str, Value); 5] = [
        ("requests/s", |summary| summary.requests_per_second),
        ("p50 ms", |summary| summary.latency_ms.p50),
        ("p99 ms", |summary| summary.latency_ms.p99),
        ("p99.9 ms", |summary| summary.latency_ms.p999),
        ("errors", |summary| summary.errors.total() as f64),
    ];
    let [first_name, second_name] = conditions;
    let mut rows = vec![vec![
        name.to_owned(),
        first_name.to_owned(),
        second_name.to_owned(),
        format!("{second_name} ÷ {first_name}"),
    ]];
    let mut ratios_of = serde_json::Map::new();
    for (measure, value) in measures {
        let (first, second) = (column(&pairs.first, value), column(&pairs.second, value));
        let by_round = ratios(&second, &first);
        // Without errors in the first condition there is nothing to divide by.
        let ratio = (!by_round.is_empty()).then(|| interval(&by_round));
        ratios_of.insert(measure.to_owned(), serde_json::to_value(ratio)?);
        rows.push(vec![
            measure.to_owned(),
            format!("{:.3}", median(&first)),
            format!("{:.3}", median(&second)),
            ratio.map_or_else(String::new, |ratio| ratio.to_string()),
        ]);
    }
    if json {
        let whole = serde_json::json!({
            "scenario": name,
            first_name: pairs.first,
            second_name: pairs.second,
            "ratios": ratios_of,
        });
        println!("{}", serde_json::to_string_pretty(&whole)?);
    } else {
        println!(
            "medians of {} rounds, ratio with 95 % confidence",
            pairs.first.len()
        );
        print!("{}", table::grid(&rows));
    }
    Ok(())
}
