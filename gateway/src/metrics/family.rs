//! Metrics that are computed when they are scraped.

use prometheus::{
    core::Desc,
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

/// A family in the making.
pub(crate) struct Family(MetricFamily, Vec<Metric>);

impl Family {
    /// Of a number that goes up and down.
    pub(crate) fn gauge(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::GAUGE)
    }

    /// Of a number that only rises; its name ends in `_total`.
    pub(crate) fn counter(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::COUNTER)
    }

    fn new(name: &str, help: &str, kind: MetricType) -> Self {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        Self(family, Vec::new())
    }

    /// Adds a series.
    pub(crate) fn show(&mut self, labels: &[(&str, &str)], value: f64) {
        let pairs = labels.iter().map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        let mut metric = Metric::from_label(pairs.collect());
        if self.0.get_field_type() == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.1.push(metric);
    }

    /// Like [`Family::show`], for a chain.
    pub(crate) fn with(mut self, labels: &[(&str, &str)], value: f64) -> Self {
        self.show(labels, value);
        self
    }

    /// The family as it is gathered; none without a series.
    pub(crate) fn finish(self) -> Option<MetricFamily> {
        let Self(mut family, series) = self;
        family.set_metric(series);
        (!family.get_metric().is_empty()).then_some(family)
    }
}

/// Makes the description by which a registry keeps two collectors apart: one description stands for all families of a
/// collector, since their names are its own.
pub(crate) fn description(name: &str) -> prometheus::Result<Desc> {
    Desc::new(
        name.to_owned(),
        "A group of metrics".to_owned(),
        Vec::new(),
        std::collections::HashMap::new(),
    )
}
