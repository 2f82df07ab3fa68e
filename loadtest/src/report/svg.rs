//! Two plots as inline SVG: bars with whiskers, and latency curves.

use std::fmt::Write as _;

use crate::confidence::Interval;

const WIDTH: f64 = 760.0;
const BAR_HEIGHT: f64 = 26.0;
const BAR_GAP: f64 = 12.0;
const LABEL_WIDTH: f64 = 230.0;
const VALUE_WIDTH: f64 = 110.0;
const CURVE_HEIGHT: f64 = 320.0;
const MARGIN: f64 = 46.0;
/// Told apart by people with any colour vision (Okabe and Ito).
const COLOURS: [&str; 7] = [
    "#0072b2", "#56b4e9", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#555555",
];

/// A named line of (percentile, milliseconds).
pub(super) type Curve<'a> = (&'a str, &'a [(f64, f64)]);

/// One bar per name, its median as length and its interval as a whisker.
pub(super) fn bars(values: &[(&str, Interval)]) -> String {
    let most = values.iter().map(|(_, v)| v.high).fold(1e-12, f64::max);
    let scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / most;
    let height = values.len() as f64 * (BAR_HEIGHT + BAR_GAP);
    let mut svg = open(height);
    for (index, (name, value)) in values.iter().enumerate() {
        let top = index as f64 * (BAR_HEIGHT + BAR_GAP);
        let middle = top + BAR_HEIGHT / 2.0;
        let x = |value: f64| LABEL_WIDTH + value * scale;
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LABEL_WIDTH}\" y=\"{top}\" width=\"{:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{}\"/>\
             <path d=\"M{:.1} {middle}H{:.1}\" class=\"whisker\"/>\
             <text x=\"{:.1}\" y=\"{}\">{}</text>",
            LABEL_WIDTH - 8.0,
            middle + 4.0,
            escape(name),
            value.median * scale,
            colour(index),
            x(value.low),
            x(value.high),
            x(value.high) + 8.0,
            middle + 4.0,
            number(value.median),
        );
    }
    svg + "</svg>"
}

/// Latency over percentile. The percentiles are spread by their nines, so
/// that the tail takes as much room as the middle; latency is logarithmic.
pub(super) fn curves(curves: &[Curve<'_>]) -> String {
    let all = || curves.iter().flat_map(|(_, points)| points.iter());
    let least = all().map(|(_, ms)| ms.max(1e-3)).fold(f64::MAX, f64::min);
    let most = all().map(|(_, ms)| ms.max(1e-3)).fold(1e-3, f64::max);
    let (low, high) = (least.log10().floor(), most.log10().ceil());
    let plot = (WIDTH - 2.0 * MARGIN, CURVE_HEIGHT - 2.0 * MARGIN);
    let x = |percentile: f64| MARGIN + nines(percentile) / nines(100.0) * plot.0;
    let y = |ms: f64| {
        let share = (ms.max(1e-3).log10() - low) / (high - low).max(1.0);
        CURVE_HEIGHT - MARGIN - share * plot.1
    };
    let mut svg = open(CURVE_HEIGHT + 20.0 * curves.len() as f64);
    for (percentile, label) in [
        (0.0, "0"),
        (50.0, "50"),
        (90.0, "90"),
        (99.0, "99"),
        (99.9, "99.9"),
        (99.99, "99.99"),
    ] {
        let (at, bottom) = (x(percentile), CURVE_HEIGHT - MARGIN);
        let _ = write!(
            svg,
            "<path d=\"M{at:.1} {MARGIN}V{bottom}\" class=\"grid\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label} %</text>",
            bottom + 18.0
        );
    }
    for power in low as i32..=high as i32 {
        let ms = 10f64.powi(power);
        let _ = write!(
            svg,
            "<path d=\"M{MARGIN} {:.1}H{:.1}\" class=\"grid\"/><text x=\"2\" y=\"{:.1}\">{} ms</text>",
            y(ms),
            WIDTH - MARGIN,
            y(ms) - 3.0,
            number(ms)
        );
    }
    for (index, (name, points)) in curves.iter().enumerate() {
        let mut path = String::new();
        for (step, (percentile, ms)) in points.iter().enumerate() {
            let letter = if step == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{:.1} {:.1}", x(*percentile), y(*ms));
        }
        let line = CURVE_HEIGHT + 20.0 * index as f64;
        let _ = write!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{0}\" stroke-width=\"2\"/>\
             <rect x=\"{MARGIN}\" y=\"{line}\" width=\"14\" height=\"12\" fill=\"{0}\"/>\
             <text x=\"{1}\" y=\"{2}\">{3}</text>",
            colour(index),
            MARGIN + 20.0,
            line + 11.0,
            escape(name)
        );
    }
    svg + "</svg>"
}

/// Text safe between tags and in attributes.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Three significant digits, thousands told apart.
pub(super) fn number(value: f64) -> String {
    if value >= 1000.0 {
        let digits = format!("{value:.0}");
        let mut grouped = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        return grouped;
    }
    let decimals = match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

fn open(height: f64) -> String {
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">")
}

fn colour(index: usize) -> &'static str {
    COLOURS
        .get(index % COLOURS.len())
        .copied()
        .unwrap_or("#000")
}

/// 90 is one nine, 99 two, 99.9 three; 100 is drawn at five.
fn nines(percentile: f64) -> f64 {
    -((1.0 - percentile / 100.0).max(1e-5)).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        assert_eq!(number(157_000.4), "157,000");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(0.25), "0.250");
    }

    #[test]
    fn names_cannot_break_out_of_the_picture() {
        let value = Interval {
            low: 1.0,
            median: 1.0,
            high: 1.0,
        };
        let svg = bars(&[("<script>", value)]);
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;"));
    }

    #[test]
    fn the_tail_takes_as_much_room_as_the_middle() {
        assert!((nines(90.0) - 1.0).abs() < 1e-9);
        assert!((nines(99.9) - 3.0).abs() < 1e-9);
        assert!((nines(100.0) - 5.0).abs() < 1e-9);
    }
}
