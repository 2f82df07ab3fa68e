//! The figures on record, and what may differ from them.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// One measure: its name and its value a request.
pub(crate) type Measured = Vec<(&'static str, f64)>;

/// By how much a measure may exceed its record before it counts as grown: a share of the record, and a margin for
/// what comes once in many requests.
const TOLERANCE: f64 = 0.03;
const MARGIN: f64 = 0.1;

/// Scenario, then measure, then value.
pub(crate) struct Record(BTreeMap<String, BTreeMap<String, f64>>);

impl Record {
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(path()).unwrap_or_default();
        Self(toml::from_str(&text).expect("recorded.toml has a table of numbers for each scenario"))
    }

    /// Returns what grew beyond its tolerance.
    pub(crate) fn grown(&self, scenario: &str, measured: &Measured) -> Vec<String> {
        let before = |measure: &str| self.0.get(scenario)?.get(measure).copied();
        let grown = measured.iter().filter_map(|&(measure, value)| {
            let before = before(measure)?;
            (value > before * (1.0 + TOLERANCE) + MARGIN)
                .then(|| format!("{scenario}: {measure} grew from {before:.2} to {value:.2} a request"))
        });
        grown.collect()
    }

    /// Puts these figures in the place of those on record.
    pub(crate) fn set(&mut self, scenario: &str, measured: &Measured) {
        let recorded = self.0.entry(scenario.to_owned()).or_default();
        for (measure, value) in measured {
            let before = recorded.insert((*measure).to_owned(), (value * 100.0).round() / 100.0);
            println!("{scenario}: {measure} {value:.2} a request, on record {before:?}");
        }
    }

    pub(crate) fn write_if_asked(&self) {
        if std::env::var_os("RECORD_COSTS").is_none() {
            return;
        }
        let mut text = String::from("# Costs of one request, dev profile; written by `make record-costs`.\n");
        for (scenario, measures) in &self.0 {
            writeln!(text, "\n[{scenario}]").unwrap();
            for (measure, value) in measures {
                writeln!(text, "{measure} = {value:?}").unwrap();
            }
        }
        std::fs::write(path(), text).unwrap();
    }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/costs/recorded.toml")
}
