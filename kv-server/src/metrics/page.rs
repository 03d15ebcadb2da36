//! The page that is shown to who scrapes.

use std::fmt;
use std::time::{Duration, Instant};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use super::sheet::Sheet;

/// [`Page::text`] is this.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A page serves for so long. Making it takes locks that others need, among them the allocator's, and
/// who scrapes is not asked for a password.
const PAGE_TIME: Duration = Duration::from_secs(1);

/// Writes all figures as they are now.
pub type WriteFigures = Box<dyn Fn(&mut Sheet<'_>) -> fmt::Result + Send + Sync>;

/// The figures as they were within the last second.
pub(super) struct Page {
    registry: Registry,
    made: Option<(Instant, String)>,
}

impl Page {
    pub(super) fn new(write: WriteFigures) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Source(write)));
        Self { registry, made: None }
    }

    pub(super) fn text(&mut self) -> &str {
        if self.made.as_ref().is_none_or(|(made, _)| made.elapsed() >= PAGE_TIME) {
            let mut page = String::new();
            text::encode(&mut page, &self.registry).expect("writing to memory");
            self.made = Some((Instant::now(), page));
        }
        self.made.as_ref().map_or("", |(_, page)| page)
    }
}

struct Source(WriteFigures);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the program")
    }
}

impl Collector for Source {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)(&mut Sheet::new(encoder))
    }
}
