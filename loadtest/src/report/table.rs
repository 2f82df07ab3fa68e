//! Results as text.

use std::fmt::Write as _;

use crate::{
    compare::{Comparison, Standing},
    confidence::Interval,
    plan::{Pace, Plan},
    stats::Summary,
};

/// One load's result.
pub(crate) fn summary(summary: &Summary, plan: &Plan) -> String {
    let mut text = String::new();
    let pace = match plan.pace {
        Pace::Closed => "closed loop (latency at the maximum; use --rate to judge latency)".into(),
        Pace::Open {
            requests_per_second,
        } => format!("open loop at {requests_per_second} requests/s, latency from the due time"),
    };
    let _ = writeln!(text, "{pace}");
    let _ = writeln!(
        text,
        "{} answered in {:.2} s: {:.0} requests/s, {:.1} MB/s of response bodies",
        summary.answered,
        summary.elapsed_seconds,
        summary.requests_per_second,
        summary.body_bytes as f64 / 1e6 / summary.elapsed_seconds.max(f64::MIN_POSITIVE),
    );
    text += &latencies(summary);
    if matches!(plan.pace, Pace::Open { .. }) {
        let _ = writeln!(
            text,
            "sent late, p99: {:.3} ms (the server's backlog and the generator's own delay)",
            summary.send_delay_p99_ms
        );
    }
    text += &errors(summary);
    text
}

/// The line of latencies.
pub(crate) fn latencies(summary: &Summary) -> String {
    let latency = &summary.latency_ms;
    format!(
        "latency ms: mean {:.3}  p50 {:.3}  p90 {:.3}  p99 {:.3}  p99.9 {:.3}  max {:.3}\n",
        latency.mean, latency.p50, latency.p90, latency.p99, latency.p999, latency.max
    )
}

/// The line of errors, each kind apart.
pub(crate) fn errors(summary: &Summary) -> String {
    let errors = &summary.errors;
    format!(
        "errors: {} (connect {}, broken {}, time-out {}, status {}, body {}, unsent {})\n",
        errors.total(),
        errors.connect,
        errors.io,
        errors.timeout,
        errors.status,
        errors.body,
        errors.unsent
    )
}

/// Servers side by side.
pub(crate) fn comparison(comparison: &Comparison) -> String {
    let about = &comparison.about;
    let mut text = format!(
        "GET {} on {} cores, kernel {}: {} rounds, medians; ratios with 95 % confidence\n\n",
        about.path, about.cores, about.kernel, about.rounds
    );
    text += &section("closed loop, the maximum", &comparison.closed, |standing| {
        standing.rate_ratio
    });
    if !comparison.open.is_empty() {
        let title = format!("open loop at {:.0} requests/s", comparison.open_rate);
        text += "\n";
        text += &section(&title, &comparison.open, |standing| standing.p99_ratio);
    }
    text += "\nversus: the first server's requests/s (closed) or p99 (open) over this one's\n";
    for word in &comparison.left_out {
        let _ = writeln!(text, "left out: {word}");
    }
    text
}

/// Rows of equal columns, the first aligned left, the others right.
pub(crate) fn grid(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match index {
                0 => write!(line, "{cell:<width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        text += line.trim_end();
        text += "\n";
    }
    text
}

fn section(title: &str, standings: &[Standing], ratio: fn(&Standing) -> Interval) -> String {
    let heads = [
        title,
        "req/s",
        "p50 ms",
        "p99 ms",
        "CPU µs/req",
        "faults/req",
        "switches/req",
        "load µs/req",
        "peak MB",
        "errors",
        "versus",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for standing in standings {
        let medians = &standing.medians;
        rows.push(vec![
            standing.name.clone(),
            format!("{:.0}", medians.requests_per_second),
            format!("{:.2}", medians.p50_ms),
            format!("{:.2}", medians.p99_ms),
            format!("{:.1}", medians.cpu_us_per_request),
            format!("{:.2}", medians.minor_faults_per_request),
            format!("{:.2}", medians.voluntary_switches_per_request),
            format!("{:.1}", medians.load_cpu_us_per_request),
            format!("{:.1}", standing.peak_resident_bytes as f64 / 1e6),
            medians.errors.to_string(),
            ratio(standing).to_string(),
        ]);
    }
    grid(&rows)
}
