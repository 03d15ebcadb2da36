//! A page of figures in the exposition format, written at the moment it is asked for.

use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::command_stats::CommandStat;

/// What is counted, in the unit that ends its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    stem: &'static str,
    unit: Option<&'static Unit>,
    help: &'static str,
}

impl Name {
    pub(super) const fn new(stem: &'static str, help: &'static str) -> Self {
        Self { stem, unit: None, help }
    }

    pub(super) const fn seconds(stem: &'static str, help: &'static str) -> Self {
        Self { stem, unit: Some(&Unit::Seconds), help }
    }

    pub(super) const fn bytes(stem: &'static str, help: &'static str) -> Self {
        Self { stem, unit: Some(&Unit::Bytes), help }
    }
}

/// One label and its value.
pub(super) type Label<'a> = (&'static str, &'a str);

pub(super) struct Sheet<'a>(DescriptorEncoder<'a>);

impl<'a> Sheet<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    pub(super) fn counter<V>(&mut self, name: Name, value: V) -> fmt::Result
    where
        V: EncodeCounterValue + Copy,
    {
        count(&mut self.describe(name, MetricType::Counter)?, &value)
    }

    pub(super) fn gauge<V>(&mut self, name: Name, value: V) -> fmt::Result
    where
        V: EncodeGaugeValue + Copy,
    {
        self.describe(name, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A fact, in the labels of a figure that is always 1.
    pub(super) fn info(&mut self, name: Name, label: Label<'_>) -> fmt::Result {
        self.describe(name, MetricType::Info)?.encode_info(&[label])
    }

    pub(super) fn counters<'l, V: EncodeCounterValue>(
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

    pub(super) fn gauges<'l, V: EncodeGaugeValue>(
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

    pub(super) fn histograms<'l>(
        &mut self,
        name: Name,
        values: impl Iterator<Item = (Label<'l>, CommandStat)>,
    ) -> fmt::Result {
        let mut metric = self.describe(name, MetricType::Histogram)?;
        for (label, stat) in values {
            metric.encode_family(&[label])?.encode_histogram::<NoLabelSet>(
                stat.time.as_secs_f64(),
                stat.calls,
                &stat.latencies.buckets(),
                None,
            )?;
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
