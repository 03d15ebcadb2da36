//! A page of figures in the exposition format, written at the moment it is asked for.

use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// What is counted, in the unit that ends its name.
#[derive(Debug, Clone, Copy)]
pub struct Name {
    stem: &'static str,
    unit: Option<&'static Unit>,
    help: &'static str,
}

impl Name {
    /// Without a unit.
    pub const fn new(stem: &'static str, help: &'static str) -> Self {
        Self { stem, unit: None, help }
    }

    /// In seconds, which end the name.
    pub const fn seconds(stem: &'static str, help: &'static str) -> Self {
        Self { stem, unit: Some(&Unit::Seconds), help }
    }

    /// In bytes, which end the name.
    pub const fn bytes(stem: &'static str, help: &'static str) -> Self {
        Self { stem, unit: Some(&Unit::Bytes), help }
    }
}

/// One label and its value.
pub type Label<'a> = (&'static str, &'a str);

/// A histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Buckets {
    pub sum: f64,
    pub count: u64,
    /// Each bucket's upper bound, and what is in it and in none before; the last bound is infinite.
    pub counts: Vec<(f64, u64)>,
}

/// The page while it is written.
pub struct Sheet<'a>(DescriptorEncoder<'a>);

impl<'a> Sheet<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// What only grows; `_total` ends its name.
    pub fn counter<V>(&mut self, name: Name, value: V) -> fmt::Result
    where
        V: EncodeCounterValue + Copy,
    {
        count(&mut self.describe(name, MetricType::Counter)?, &value)
    }

    /// What goes up and down.
    pub fn gauge<V>(&mut self, name: Name, value: V) -> fmt::Result
    where
        V: EncodeGaugeValue + Copy,
    {
        self.describe(name, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A fact, in the labels of a figure that is always 1.
    pub fn info(&mut self, name: Name, label: Label<'_>) -> fmt::Result {
        self.describe(name, MetricType::Info)?.encode_info(&[label])
    }

    /// One counter for each value of a label.
    pub fn counters<'l, V: EncodeCounterValue>(
        &mut self,
        name: Name,
        values: impl Iterator<Item = (Label<'l>, V)>,
    ) -> fmt::Result {
        let mut metric = self.describe(name, MetricType::Counter)?;
        for (label, value) in values {
            count(&mut metric.encode_family(&[label])?, &value)?;
        }
        Ok(())
    }

    /// One gauge for each value of a label.
    pub fn gauges<'l, V: EncodeGaugeValue>(
        &mut self,
        name: Name,
        values: impl Iterator<Item = (Label<'l>, V)>,
    ) -> fmt::Result {
        let mut metric = self.describe(name, MetricType::Gauge)?;
        for (label, value) in values {
            metric.encode_family(&[label])?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// One histogram for each value of a label.
    pub fn histograms<'l>(
        &mut self,
        name: Name,
        values: impl Iterator<Item = (Label<'l>, Buckets)>,
    ) -> fmt::Result {
        let mut metric = self.describe(name, MetricType::Histogram)?;
        for (label, Buckets { sum, count, counts }) in values {
            metric
                .encode_family(&[label])?
                .encode_histogram::<NoLabelSet>(sum, count, &counts, None)?;
        }
        Ok(())
    }

    fn describe(&mut self, name: Name, kind: MetricType) -> Result<MetricEncoder<'_>, fmt::Error> {
        self.0.encode_descriptor(name.stem, name.help, name.unit, kind)
    }
}

fn count(metric: &mut MetricEncoder<'_>, value: &impl EncodeCounterValue) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, _, u64>(value, None)
}
