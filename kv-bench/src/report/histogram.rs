//! Histograms as text: HdrHistogram V2, deflated, base64 — what `.hlog` files and results hold.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};

/// The text form of a histogram; it always starts with `HISTFA`.
///
/// # Panics
/// Never in practice: the encoding fails only when a histogram needs more than 2 GB.
pub fn encode_histogram(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .expect("a histogram of latencies fits the format");
    STANDARD.encode(bytes)
}

/// The histogram that [`encode_histogram`], or any other HdrHistogram writer, made into text.
///
/// # Errors
/// When the text is not base64 or what it holds is not a V2 histogram.
pub fn decode_histogram(text: &str) -> anyhow::Result<Histogram<u64>> {
    let bytes = STANDARD.decode(text).context("a histogram is not base64")?;
    Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| anyhow::anyhow!("not an HdrHistogram in V2 form: {error:?}"))
}
