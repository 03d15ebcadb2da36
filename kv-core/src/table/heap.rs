//! What memory costs, as `maxmemory` counts it.

/// What the allocator (glibc, 64 bits) adds to each allocation, rounds it to, and gives at least.
const CHUNK_HEADER_BYTES: usize = 8;
const CHUNK_ALIGN_BYTES: usize = 16;
const CHUNK_BYTES_MIN: usize = 32;

/// Bytes that the allocator spends on an allocation of so many; 0 for none. Of one that it maps on
/// its own, from 128 KiB on, it may spend a page more.
#[inline]
pub(super) const fn chunk_bytes(asked: usize) -> usize {
    if asked == 0 {
        return 0;
    }
    let chunk = (asked + CHUNK_HEADER_BYTES).next_multiple_of(CHUNK_ALIGN_BYTES);
    if chunk < CHUNK_BYTES_MIN { CHUNK_BYTES_MIN } else { chunk }
}
