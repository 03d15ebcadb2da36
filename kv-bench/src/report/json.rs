//! `result.json`: the result itself, from which every other file can be made again.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::file;
use crate::result::{RunResult, SCHEMA};

/// Writes `result` to `path`, whole or not at all.
///
/// # Errors
/// When the file cannot be written; names it.
pub fn write(result: &RunResult, path: &Path) -> anyhow::Result<()> {
    file::replace_with(path, text(result)?)
}

/// What [`write()`] writes.
pub(super) fn text(result: &RunResult) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(result)?;
    text.push('\n');
    Ok(text)
}

/// Reads a result that this or an older kv-bench wrote. Fields that it does not know are ignored.
///
/// # Errors
/// When the file cannot be read, is not JSON, or is of another schema; names the file.
pub fn load(path: &Path) -> anyhow::Result<RunResult> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is not a result of kv-bench", path.display()))
}

/// Whether a file holds a result, of whatever version.
pub(crate) fn is_result(path: &Path) -> bool {
    let json = fs::read(path).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let schema = json.as_ref().and_then(|json| json.get("schema")?.as_str());
    schema.is_some_and(|schema| schema.starts_with("kv-bench/result/"))
}

fn parse(text: &str) -> anyhow::Result<RunResult> {
    let json: Value = serde_json::from_str(text)?;
    match json.get("schema").and_then(Value::as_str) {
        Some(SCHEMA) => Ok(serde_json::from_value(json)?),
        Some(other) => bail!("its schema is {other:?}; this kv-bench reads {SCHEMA:?}"),
        None => bail!("it names no schema; {SCHEMA:?} was expected"),
    }
}

/// The JSON Schema of `result.json`, as published in the repository.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(RunResult);
    schema.insert("$id".into(), SCHEMA.into());
    schema.to_value()
}
