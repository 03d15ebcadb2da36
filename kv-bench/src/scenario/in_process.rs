//! `engine:`, with what its store is to promise: `engine:?durability=always`,
//! `engine:?data-dir=/mnt/disk/store`.

use std::path::PathBuf;

use kv_core::data_dir::Durability;

use super::Place;
use super::error::ScenarioError;
use crate::args::LoadArgs;
use crate::target::InProcess;
use crate::workload::Command;

/// What its address begins with.
const SCHEME: &str = "engine:";
/// What keeps nothing, or only what a server would keep for it.
const UNKEPT: [Durability; 2] = [Durability::None, Durability::Snapshot];

fn refused(value: &str, problem: impl Into<String>) -> ScenarioError {
    ScenarioError::Value { flag: "target", value: format!("'{value}'"), problem: problem.into() }
}

/// The engine in this process, if that is a target.
///
/// # Errors
///
/// When it is one of several, or something beside it, or in its address, makes no sense.
pub(super) fn in_process(args: &LoadArgs) -> Result<Option<Place>, ScenarioError> {
    let is_engine = |text: &&str| text.starts_with(SCHEME);
    let servers = args.servers.iter().flat_map(|list| list.split(','));
    if let Some(text) = servers.map(str::trim).find(is_engine) {
        return Err(ScenarioError::Value {
            flag: "servers",
            value: format!("'{text}'"),
            problem: format!("no server, but kv-core in kv-bench itself: --target {text}"),
        });
    }
    let Some(text) = args.target.iter().map(String::as_str).find(is_engine) else {
        return Ok(None);
    };
    if args.target.len() > 1 {
        let problem = "it is measured alone: one --target, and the others in runs of their own";
        return Err(refused(text, problem));
    }
    if let Some(ring) = &args.ring {
        return Err(ScenarioError::Value {
            flag: "ring",
            value: ring.clone(),
            problem: "only where several servers share the keys, and engine: is one store".into(),
        });
    }
    parse(text).map(Some)
}

fn parse(text: &str) -> Result<Place, ScenarioError> {
    let form = "valid: engine:, engine:?durability=always, engine:?data-dir=/mnt/disk/store, and both \
                with & between them";
    let query = match text.strip_prefix(SCHEME) {
        Some("") => "",
        Some(rest) => rest.strip_prefix('?').ok_or_else(|| {
            refused(text, format!("the engine in kv-bench has no place ({form})"))
        })?,
        None => return Err(refused(text, form)),
    };
    let (mut durability, mut data_dir) = (None, None);
    for setting in query.split('&').filter(|setting| !setting.is_empty()) {
        match setting.split_once('=') {
            Some(("durability", name)) if durability.is_none() => {
                let mode = Durability::from_name(name).ok_or_else(|| mode_refused(text, name))?;
                durability = Some(mode);
            }
            Some(("data-dir", dir)) if data_dir.is_none() && !dir.is_empty() => {
                data_dir = Some(PathBuf::from(dir));
            }
            _ => return Err(refused(text, format!("'{setting}' makes no sense there ({form})"))),
        }
    }
    let default = if data_dir.is_some() { Durability::Everysec } else { Durability::None };
    let durability = durability.unwrap_or(default);
    if durability == Durability::Snapshot || data_dir.is_some() && UNKEPT.contains(&durability) {
        return Err(mode_refused(text, durability.name()));
    }
    Ok(Place::InProcess { durability, data_dir })
}

fn mode_refused(text: &str, mode: &str) -> ScenarioError {
    let kept = Durability::ALL.iter().filter(|mode| !UNKEPT.contains(mode));
    let names: Vec<&str> = kept.map(|mode| mode.name()).collect();
    let names = names.join(", ");
    refused(
        text,
        format!(
            "durability={mode} is none for an engine without a server: it is {names}, or without a \
             data-dir none"
        ),
    )
}

/// Refuses a command that only a server runs, or that nobody does.
///
/// # Errors
///
/// Says why.
pub(super) fn check_commands(place: &Place, commands: &[Command]) -> Result<(), ScenarioError> {
    if !matches!(place, Place::InProcess { .. }) {
        return Ok(());
    }
    let refused = |command: &Command| {
        let problem = InProcess::check(std::slice::from_ref(command)).err()?;
        let value = format!("'{}'", command.text);
        Some(ScenarioError::Value { flag: "command", value, problem })
    };
    commands.iter().find_map(refused).map_or(Ok(()), Err)
}
