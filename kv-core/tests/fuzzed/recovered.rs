//! What a store is after recovery, and what it should be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use kv_core::data_dir::{DataDir, Durability, Progress, RecoveryError};
use kv_core::log::{Effect, Effects};
use kv_core::snapshot::{Entries, EntryBuffer, Fill};
use kv_core::{Clock, Engine};

use crate::faulty::Faulty;

/// Database and key; value and expiry.
pub(crate) type State = BTreeMap<(u8, Vec<u8>), (Vec<u8>, Option<u64>)>;

/// Recovers a store from its folder, at a time when nothing has expired.
pub(crate) fn recover(folder: &Faulty) -> Result<State, RecoveryError> {
    let engine = Engine::new(Clock::Manual(Arc::new(AtomicU64::new(0))));
    DataDir::open(Arc::new(folder.clone()), &engine, Durability::None, &Progress::default())?;
    let mut moment = engine.point_in_time().expect("no snapshot is under way");
    let mut out = EntryBuffer::default();
    while moment.fill(&mut out) == Fill::More {}
    Ok(collect(out.bytes()).expect("entries of a store"))
}

/// Encoded entries; none if some of the bytes are no entries, or a key is there twice.
pub(crate) fn collect(bytes: &[u8]) -> Option<State> {
    let mut state = State::new();
    for entry in Entries::new(bytes) {
        let entry = entry.ok()?;
        let value = (entry.value.to_vec(), entry.expires_at_ms);
        if state.insert((entry.db, entry.key.to_vec()), value).is_some() {
            return None;
        }
    }
    Some(state)
}

/// What the effects in these payloads make of nothing, one after another.
pub(crate) fn replay(payloads: &[Vec<u8>]) -> State {
    let mut state = State::new();
    for effect in payloads.iter().flat_map(|payload| Effects::of(payload)) {
        apply(&mut state, &effect.expect("effects only"));
    }
    state
}

fn apply(state: &mut State, effect: &Effect<'_>) {
    match *effect {
        Effect::Put { db, key, value, expires_at_ms } => {
            state.insert((db, key.to_vec()), (value.to_vec(), expires_at_ms));
        }
        Effect::Splice { db, key, value_len, offset, bytes } => {
            let (value, _) = state.entry((db, key.to_vec())).or_default();
            value.resize(value_len as usize, 0);
            value[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        Effect::Expire { db, key, at_ms } => {
            state.entry((db, key.to_vec())).and_modify(|(_, expiry)| *expiry = Some(at_ms));
        }
        Effect::Persist { db, key } => {
            state.entry((db, key.to_vec())).and_modify(|(_, expiry)| *expiry = None);
        }
        Effect::Remove { db, key } => drop(state.remove(&(db, key.to_vec()))),
        Effect::Clear { db } => state.retain(|(theirs, _), _| *theirs != db),
        Effect::SwapDb { db, other } => {
            let swapped = |theirs| match theirs {
                theirs if theirs == db => other,
                theirs if theirs == other => db,
                theirs => theirs,
            };
            let old = std::mem::take(state);
            state.extend(old.into_iter().map(|((db, key), value)| ((swapped(db), key), value)));
        }
        Effect::Durable { .. } => {}
    }
}
