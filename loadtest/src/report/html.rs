//! A comparison as one page: no script, no font, nothing fetched.

use std::fmt::Write as _;

use super::svg::{self, escape};
use crate::{
    compare::{Comparison, Round, Standing},
    confidence::{Interval, interval},
    plan::Protocol,
};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:#222}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
th,td{padding:.3em .6em;text-align:right;border-bottom:1px solid #ddd}\
th:first-child,td:first-child{text-align:left}\
svg{width:100%;height:auto;font-size:12px;margin:.5em 0 1.5em}\
.whisker{stroke:#000;stroke-width:2;fill:none}.grid{stroke:#ddd;fill:none}\
@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}th,td{border-color:#444}\
svg text{fill:#ddd}.grid{stroke:#333}.whisker{stroke:#fff}}";

/// The whole page.
pub(crate) fn page(comparison: &Comparison) -> String {
    let about = &comparison.about;
    let protocol = match about.plan.protocol {
        Protocol::Http1 => "HTTP/1.1",
        Protocol::Http2 => "HTTP/2",
    };
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Wasmgate side by side</title><style>{STYLE}</style>\
         <h1>Wasmgate side by side</h1>\
         <p><code>GET {}</code> over {protocol}, {} connections from {} load thread(s), \
         {} rounds of {}, interleaved, on {} cores shared with the load, kernel {}. \
         Bars are medians, whiskers 95 % bootstrap confidence intervals.</p><p>{}</p>",
        escape(&about.path),
        about.plan.connections,
        about.plan.threads,
        about.rounds,
        humantime::format_duration(about.plan.duration),
        about.cores,
        escape(&about.kernel),
        escape(&about.versions.join(" · ")),
    );
    page += "<h2>Closed loop: the maximum</h2>";
    page += &section(
        &comparison.closed,
        |standing| standing.rate_ratio,
        "requests/s",
    );
    page += &plot(&comparison.closed, "Requests a second", |r| {
        r.requests_per_second
    });
    page += &plot(&comparison.closed, "Processor time, µs a request", |r| {
        r.cpu_us_per_request
    });
    page += &plot(&comparison.closed, "Page faults a request", |r| {
        r.minor_faults_per_request
    });
    if !comparison.open.is_empty() {
        let _ = write!(
            page,
            "<h2>Open loop: latency at {} requests/s</h2>",
            svg::number(comparison.open_rate)
        );
        page += &section(&comparison.open, |standing| standing.p99_ratio, "p99");
        page += &plot(&comparison.open, "p99, ms", |r| r.p99_ms);
        page += "<h3>Latency by percentile</h3>";
        let curves: Vec<svg::Curve<'_>> = comparison
            .open
            .iter()
            .map(|standing| (standing.name.as_str(), standing.curve.as_slice()))
            .collect();
        page += &svg::curves(&curves);
    }
    for word in &comparison.left_out {
        let _ = write!(page, "<p>Left out: {}</p>", escape(word));
    }
    page + "</html>\n"
}

fn plot(standings: &[Standing], title: &str, value: fn(&Round) -> f64) -> String {
    let bars: Vec<(&str, Interval)> = standings
        .iter()
        .map(|standing| {
            let values: Vec<f64> = standing.rounds.iter().map(value).collect();
            (standing.name.as_str(), interval(&values))
        })
        .collect();
    format!("<h3>{}</h3>{}", escape(title), svg::bars(&bars))
}

fn section(standings: &[Standing], ratio: fn(&Standing) -> Interval, of: &str) -> String {
    let first = standings.first().map_or("", |first| first.name.as_str());
    let mut table = format!(
        "<table><tr><th>server<th>requests/s<th>p50 ms<th>p99 ms<th>CPU µs<th>faults\
         <th>switches<th>load µs<th>peak MB<th>errors<th>{} ÷ this, {of}</tr>",
        escape(first)
    );
    for standing in standings {
        let medians = &standing.medians;
        let _ = write!(
            table,
            "<tr><td>{}<td>{}<td>{:.2}<td>{:.2}<td>{:.1}<td>{:.2}<td>{:.2}<td>{:.1}<td>{:.1}<td>{}\
             <td>{}</tr>",
            escape(&standing.name),
            svg::number(medians.requests_per_second),
            medians.p50_ms,
            medians.p99_ms,
            medians.cpu_us_per_request,
            medians.minor_faults_per_request,
            medians.voluntary_switches_per_request,
            medians.load_cpu_us_per_request,
            standing.peak_resident_bytes as f64 / 1e6,
            medians.errors,
            ratio(standing),
        );
    }
    table + "</table>"
}
