//! Prometheus text, read back.

/// One reading of `/metrics`.
pub(crate) struct Metrics(String);

impl Metrics {
    pub(crate) fn parse(text: String) -> Self {
        Self(text)
    }

    /// The sum of all series of a metric that carry these labels; 0 when there is none yet.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.series(name)
            .filter(|(found, _)| {
                labels
                    .iter()
                    .all(|(label, value)| found.contains(&format!("{label}=\"{value}\"")))
            })
            .map(|(_, value)| value)
            .sum()
    }

    /// The sum of all series of a metric that carry these labels; none when there is no such series.
    pub(crate) fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let carries = |found: &str| {
            let has = |(label, value): &(&str, &str)| found.contains(&format!("{label}=\"{value}\""));
            labels.iter().all(has)
        };
        let values = self.series(name).filter(|(found, _)| carries(found));
        values.map(|(_, value)| value).reduce(|a, b| a + b)
    }

    /// Returns the number of series that a metric has.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.series(name).count()
    }

    /// The whole text.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// The labels and value of each series with exactly this name.
    fn series(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        self.0
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(move |line| {
                let (series, value) = line.rsplit_once(' ')?;
                let labels = series.strip_prefix(name)?;
                let exact = labels.is_empty() || labels.starts_with('{');
                Some((labels, value.parse().ok()?)).filter(|_| exact)
            })
    }
}
