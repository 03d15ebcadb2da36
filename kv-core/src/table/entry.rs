//! One key and its value, in one allocation behind one pointer.
//!
//! ```text
//! offset  bytes
//!      0      8  version          the sequence number of the last change
//!      8      4  accessed_at      access clock; written under a shared lock
//!     12      4  key_len
//!     16      4  value_len
//!     20      4  flags            bit 0: there is an expiry; bits 1 and 2: the form of the value
//!     24      8  expires_at_ms    only when there is an expiry: Unix time
//!      …         key, value
//! ```
//!
//! Measured reason for the `unsafe`: 2 million 16-byte keys with 64-byte values. A safe entry
//! (`Box<[u8]>` plus version, clock and length inside the bucket) is 32 bytes per bucket, and a
//! bucket array is half empty on average; a thin pointer is 8. That is 48 bytes less per key, a
//! third of the whole.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::{NonNull, copy_nonoverlapping};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use super::heap::chunk_bytes;

#[repr(C)]
struct Header {
    version: u64,
    accessed_at: AtomicU32,
    key_len: u32,
    value_len: u32,
    flags: u32,
}

const HAS_EXPIRY: u32 = 1;
const FORM_SHIFT: u32 = 1;

/// How Redis would hold a value, where that does not follow from its bytes. It is not kept on disk:
/// after a restart Redis chooses anew too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// As it chooses for a value that is set.
    #[default]
    Chosen,
    /// As text, also where it looks like an integer.
    Text,
    /// Open to be changed in place.
    Raw,
}

const HEADER_BYTES: usize = size_of::<Header>();
const EXPIRY_BYTES: usize = size_of::<u64>();

/// A key, its value, and what is known of them.
pub struct Entry(NonNull<Header>);

// SAFETY: an entry owns its allocation and hands out references only along its own borrow; the one
// field that changes behind a shared reference is atomic.
unsafe impl Send for Entry {}
// SAFETY: as above.
unsafe impl Sync for Entry {}

impl Entry {
    /// Copies `key` and `value` into a new allocation.
    ///
    /// # Panics
    /// When either is 4 GiB or more; the protocol's limits are far below.
    pub fn new(key: &[u8], value: &[u8], expires_at_ms: Option<u64>) -> Self {
        let header = Header {
            version: 0,
            accessed_at: AtomicU32::new(0),
            key_len: u32::try_from(key.len()).expect("key below 4 GiB"),
            value_len: u32::try_from(value.len()).expect("value below 4 GiB"),
            flags: u32::from(expires_at_ms.is_some()) * HAS_EXPIRY,
        };
        let key_offset = key_offset(expires_at_ms.is_some());
        let layout = layout(key_offset + key.len() + value.len());
        // SAFETY: the layout is never empty, as it holds a header.
        let Some(pointer) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout);
        };
        let pointer = pointer.cast::<Header>();
        // SAFETY: the allocation is `layout` long and aligned for a header; each write stays within
        // it, and together they initialise every byte: header, expiry, key and value.
        unsafe {
            pointer.write(header);
            let bytes = pointer.as_ptr().cast::<u8>();
            if let Some(at_ms) = expires_at_ms {
                pointer.add(1).cast::<u64>().write(at_ms);
            }
            copy_nonoverlapping(key.as_ptr(), bytes.add(key_offset), key.len());
            let value_offset = key_offset + key.len();
            copy_nonoverlapping(value.as_ptr(), bytes.add(value_offset), value.len());
        }
        Self(pointer)
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: the pointer is to a live, initialised header for as long as `self` is.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    fn bytes(&self) -> *mut u8 {
        self.0.as_ptr().cast()
    }

    #[inline]
    fn key_offset(&self) -> usize {
        key_offset(self.has_expiry())
    }

    #[inline]
    fn has_expiry(&self) -> bool {
        self.header().flags & HAS_EXPIRY != 0
    }

    fn value_offset(&self) -> usize {
        self.key_offset() + self.header().key_len as usize
    }

    /// Bytes asked of the allocator.
    fn allocated_bytes(&self) -> usize {
        self.value_offset() + self.header().value_len as usize
    }

    /// Bytes that the allocator spends on it.
    #[inline]
    pub(crate) fn heap_bytes(&self) -> usize {
        chunk_bytes(self.allocated_bytes())
    }

    #[inline]
    pub fn key(&self) -> &[u8] {
        // SAFETY: the key's bytes lie at this offset, initialised, and live as long as `self`.
        unsafe {
            slice::from_raw_parts(
                self.bytes().add(self.key_offset()),
                self.header().key_len as usize,
            )
        }
    }

    #[inline]
    pub fn value(&self) -> &[u8] {
        // SAFETY: as for the key.
        unsafe {
            slice::from_raw_parts(
                self.bytes().add(self.value_offset()),
                self.header().value_len as usize,
            )
        }
    }

    pub fn value_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for the key; `&mut self` makes the borrow exclusive.
        unsafe {
            slice::from_raw_parts_mut(
                self.bytes().add(self.value_offset()),
                self.header().value_len as usize,
            )
        }
    }

    /// Makes the value `len` bytes long, cutting it or adding zeros.
    ///
    /// # Panics
    /// When `len` is 4 GiB or more.
    pub fn resize_value(&mut self, len: usize) {
        let old_len = self.header().value_len as usize;
        if len == old_len {
            return;
        }
        let value_offset = self.value_offset();
        let new_len = u32::try_from(len).expect("value below 4 GiB");
        let new_layout = layout(value_offset + len);
        // SAFETY: the pointer came from `alloc` or `realloc` with the layout of the current length.
        let pointer =
            unsafe { realloc(self.bytes(), layout(value_offset + old_len), new_layout.size()) };
        let Some(pointer) = NonNull::new(pointer) else { handle_alloc_error(new_layout) };
        self.0 = pointer.cast();
        // SAFETY: the new allocation holds `len` value bytes; those past the old length are not
        // initialised yet and become zeros before anything reads them. The header moved along.
        unsafe {
            if len > old_len {
                pointer.as_ptr().add(value_offset + old_len).write_bytes(0, len - old_len);
            }
            self.0.as_mut().value_len = new_len;
        }
    }

    /// Makes the value `len` bytes long, cutting it or adding zeros, and writes `bytes` into it at
    /// `offset`.
    ///
    /// # Panics
    /// When `len` is 4 GiB or more, or less than where `bytes` end.
    pub fn splice(&mut self, len: usize, offset: usize, bytes: &[u8]) {
        self.set_form(Form::Raw);
        self.resize_value(len);
        self.value_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// Replaces the value, in place when the length is the same.
    pub fn set_value(&mut self, value: &[u8]) {
        self.set_form(Form::Chosen);
        self.resize_value(value.len());
        self.value_mut().copy_from_slice(value);
    }

    /// When the entry stops to exist: Unix time in milliseconds.
    #[inline]
    pub fn expires_at_ms(&self) -> Option<u64> {
        // SAFETY: with the flag set, the eight bytes behind the header hold the time.
        self.has_expiry().then(|| unsafe { self.0.add(1).cast::<u64>().read() })
    }

    /// Sets or clears the expiry; costs a new allocation only when there was none before, or is
    /// none any more.
    pub fn set_expires_at_ms(&mut self, expires_at_ms: Option<u64>) {
        match (self.expires_at_ms(), expires_at_ms) {
            (None, None) => {}
            // SAFETY: the flag is set, so the eight bytes behind the header are the expiry's.
            (Some(_), Some(at_ms)) => unsafe {
                self.0.add(1).cast::<u64>().write(at_ms);
            },
            _ => {
                let mut moved = Self::new(self.key(), self.value(), expires_at_ms);
                moved.set_version(self.version());
                moved.touch(self.accessed_at());
                moved.set_form(self.form());
                *self = moved;
            }
        }
    }

    pub fn form(&self) -> Form {
        match self.header().flags >> FORM_SHIFT {
            0 => Form::Chosen,
            1 => Form::Text,
            _ => Form::Raw,
        }
    }

    pub fn set_form(&mut self, form: Form) {
        // SAFETY: the header is live and `&mut self` makes the borrow exclusive.
        let flags = unsafe { &mut self.0.as_mut().flags };
        *flags = *flags & HAS_EXPIRY | (form as u32) << FORM_SHIFT;
    }

    /// The sequence number of the last change.
    pub fn version(&self) -> u64 {
        self.header().version
    }

    pub fn set_version(&mut self, version: u64) {
        // SAFETY: the header is live and `&mut self` makes the borrow exclusive.
        unsafe { self.0.as_mut() }.version = version;
    }

    /// When the entry was last used, by the engine's access clock.
    pub fn accessed_at(&self) -> u32 {
        self.header().accessed_at.load(Ordering::Relaxed)
    }

    /// Marks the entry as used; readers call it under a shared lock. The store is skipped while
    /// the clock stands, which keeps hot entries' cache lines shared between cores.
    #[inline]
    pub fn touch(&self, now: u32) {
        let accessed_at = &self.header().accessed_at;
        if accessed_at.load(Ordering::Relaxed) != now {
            accessed_at.store(now, Ordering::Relaxed);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let layout = layout(self.allocated_bytes());
        // SAFETY: the pointer came from `alloc` or `realloc` with exactly this layout.
        unsafe { dealloc(self.bytes(), layout) }
    }
}

#[inline]
fn key_offset(has_expiry: bool) -> usize {
    HEADER_BYTES + if has_expiry { EXPIRY_BYTES } else { 0 }
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, align_of::<Header>()).expect("entry below isize::MAX")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_gives_back_what_was_put_in() {
        for expiry in [None, Some(7)] {
            for (key, value) in [("", ""), ("k", ""), ("", "v"), ("key", "value")] {
                let entry = Entry::new(key.as_bytes(), value.as_bytes(), expiry);
                assert_eq!((entry.key(), entry.value()), (key.as_bytes(), value.as_bytes()));
                assert_eq!(entry.expires_at_ms(), expiry);
            }
        }
    }

    #[test]
    fn a_value_grows_with_zeros_and_shrinks_by_cutting() {
        let mut entry = Entry::new(b"key", b"abc", Some(1));
        entry.resize_value(5);
        assert_eq!(entry.value(), b"abc\0\0");
        entry.resize_value(1);
        assert_eq!(
            (entry.key(), entry.value(), entry.expires_at_ms()),
            (&b"key"[..], &b"a"[..], Some(1))
        );
    }

    #[test]
    fn setting_and_clearing_an_expiry_keeps_all_else() {
        let mut entry = Entry::new(b"key", b"value", None);
        entry.set_version(9);
        entry.touch(3);
        entry.set_form(Form::Raw);
        for expiry in [Some(5), Some(6), None, None] {
            entry.set_expires_at_ms(expiry);
            assert_eq!(entry.expires_at_ms(), expiry);
            assert_eq!((entry.key(), entry.value()), (&b"key"[..], &b"value"[..]));
            assert_eq!((entry.version(), entry.accessed_at(), entry.form()), (9, 3, Form::Raw));
        }
    }
}
