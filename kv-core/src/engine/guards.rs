//! The locks that a transaction holds.

use std::sync::{RwLockReadGuard, RwLockWriteGuard};

use crate::command::Access;
use crate::table::{Key, SHARDS, Shard};

use super::Engine;
use super::memory::Memory;

pub(super) enum Guard<'e> {
    Read(RwLockReadGuard<'e, Shard>),
    Write(RwLockWriteGuard<'e, Shard>),
}

impl<'e> Guard<'e> {
    #[inline]
    pub(super) fn lock(engine: &'e Engine, shard: usize, access: Access) -> Self {
        let lock = engine.table.shard(shard);
        match access {
            Access::Write => Self::Write(lock.write().expect("no panic under a shard lock")),
            _ => Self::Read(lock.read().expect("no panic under a shard lock")),
        }
    }

    #[inline]
    fn shard(&self) -> &Shard {
        match self {
            Self::Read(guard) => guard,
            Self::Write(guard) => guard,
        }
    }

    #[inline]
    fn tell_bytes(&mut self, memory: &Memory) {
        if let Self::Write(shard) = self {
            memory.take_from(shard);
        }
    }

    #[inline]
    fn shard_mut(&mut self) -> &mut Shard {
        match self {
            Self::Read(_) => panic!("a command that reads may not write"),
            Self::Write(guard) => guard,
        }
    }
}

pub(super) enum Guards<'e> {
    /// None held: each access locks one shard for itself.
    None,
    /// The one key of a command, hashed once.
    One { hash: u64, guard: Guard<'e> },
    /// Several shards, ascending.
    Many(Vec<(usize, Guard<'e>)>),
}

impl<'e> Guards<'e> {
    #[inline]
    pub(super) fn of_key(engine: &'e Engine, key: &[u8], access: Access) -> Self {
        let key = engine.table.key(key);
        Self::One { hash: key.hash, guard: Guard::lock(engine, key.shard(), access) }
    }

    /// Locks shards in the given order, which must be ascending.
    pub(super) fn of_shards(
        engine: &'e Engine,
        ascending: impl Iterator<Item = usize>,
        access: Access,
    ) -> Self {
        let lock = |index| (index, Guard::lock(engine, index, access));
        let guards: Vec<_> = ascending.map(lock).collect();
        debug_assert!(guards.is_sorted_by_key(|(index, _)| *index));
        Self::Many(guards)
    }

    #[inline]
    pub(super) fn shard(&self, key: &Key) -> &Shard {
        match self {
            Self::One { guard, .. } => guard.shard(),
            Self::Many(guards) => guards[position(guards, key.shard())].1.shard(),
            Self::None => panic!("a walk touches no single key"),
        }
    }

    #[inline]
    pub(super) fn shard_mut(&mut self, key: &Key) -> &mut Shard {
        match self {
            Self::One { guard, .. } => guard.shard_mut(),
            Self::Many(guards) => {
                let index = position(guards, key.shard());
                guards[index].1.shard_mut()
            }
            Self::None => panic!("a walk changes nothing"),
        }
    }

    /// Shows `look` a shard by its number, locked for as long as that takes if none is held.
    pub(super) fn with_shard<R>(
        &self,
        engine: &Engine,
        index: usize,
        look: impl FnOnce(&Shard) -> R,
    ) -> R {
        match self {
            Self::None => {
                look(&engine.table.shard(index).read().expect("no panic under a shard lock"))
            }
            Self::Many(guards) => look(guards[position(guards, index)].1.shard()),
            Self::One { .. } => panic!("one key's lock is not the keyspace's"),
        }
    }

    /// All shards, of a batch that locked the whole keyspace.
    pub(super) fn all(&self) -> impl Iterator<Item = &Shard> {
        let Self::Many(guards) = self else { panic!("the keyspace locks every shard") };
        guards.iter().map(|(_, guard)| guard.shard())
    }

    /// As [`Guards::all`], to change them.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Shard> {
        let Self::Many(guards) = self else { panic!("the keyspace locks every shard") };
        guards.iter_mut().map(|(_, guard)| guard.shard_mut())
    }

    /// Adds up what became of the bytes of the shards that could be changed.
    #[inline]
    pub(super) fn tell_bytes(&mut self, memory: &Memory) {
        match self {
            Self::One { guard, .. } => guard.tell_bytes(memory),
            Self::Many(guards) => guards.iter_mut().for_each(|(_, guard)| guard.tell_bytes(memory)),
            Self::None => {}
        }
    }

    /// Whether they are those of a command on one key.
    pub(super) fn are_one(&self) -> bool {
        matches!(self, Self::One { .. })
    }

    /// Whether the locks allow changes.
    pub(super) fn are_exclusive(&self) -> bool {
        match self {
            Self::One { guard, .. } => matches!(guard, Guard::Write(_)),
            Self::Many(guards) => matches!(guards.first(), Some((_, Guard::Write(_)))),
            Self::None => false,
        }
    }
}

fn position(guards: &[(usize, Guard<'_>)], shard: usize) -> usize {
    if guards.len() == SHARDS {
        return shard;
    }
    guards
        .binary_search_by_key(&shard, |(index, _)| *index)
        .expect("the batch locked every shard that it touches")
}
