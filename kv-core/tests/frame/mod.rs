//! Files of a store made by hand, as the formats are drawn and with right checksums around any bytes.
//! Each test file that needs some includes this module and uses part of it.
#![allow(dead_code, reason = "every test file is a crate of its own and needs another part")]

use kv_core::snapshot::Header;

pub(crate) const MANIFEST: &str = "MANIFEST";

/// Of the store that these files are of.
pub(crate) const SALT: u64 = 0x0123_4567_89ab_cdef;

/// Says that the store is this snapshot and the log from segment 1 on, or one of the two.
pub(crate) fn manifest(snapshot: Option<u64>, has_log: bool) -> Vec<u8> {
    let parts = u32::from(snapshot.is_some()) | u32::from(has_log) << 1;
    let mut file = [&b"KVMANIF1"[..], &1u32.to_le_bytes(), &parts.to_le_bytes()].concat();
    for number in [SALT, snapshot.unwrap_or(0), 1] {
        file.extend(number.to_le_bytes());
    }
    file.extend(crc32c::crc32c(&file).to_le_bytes());
    file
}

/// A log that is made record by record.
#[derive(Debug, Default)]
pub(crate) struct LogFiles {
    /// The segments, from 1 on.
    pub(crate) files: Vec<Vec<u8>>,
    /// How many records there are.
    pub(crate) sequence: u64,
    chain: u32,
}

impl LogFiles {
    /// Begins a segment whose header says what was durable then.
    pub(crate) fn begin_segment(&mut self, durable: u64) {
        let number = self.files.len() as u64 + 1;
        let mut file = [&b"kv-log\r\n"[..], &1u32.to_le_bytes()].concat();
        for field in [SALT, number, self.sequence + 1] {
            file.extend(field.to_le_bytes());
        }
        file.extend(self.chain.to_le_bytes());
        file.extend(durable.to_le_bytes());
        self.chain = crc32c::crc32c(&file);
        file.extend(self.chain.to_le_bytes());
        self.files.push(file);
    }

    /// Puts a record of these effects, or of any bytes, behind the others.
    ///
    /// # Panics
    /// When no segment was begun.
    pub(crate) fn push(&mut self, payload: &[u8]) {
        let number = self.files.len() as u64;
        self.sequence += 1;
        let mut record = self.chain.to_le_bytes().to_vec();
        record.extend(self.sequence.to_le_bytes());
        record.extend((payload.len() as u64).to_le_bytes());
        record.extend(payload);
        let seed = crc32c::crc32c(&[SALT.to_le_bytes(), number.to_le_bytes()].concat());
        self.chain = crc32c::crc32c_append(seed, &record);
        let file = self.files.last_mut().expect("a segment was begun");
        file.extend(self.chain.to_le_bytes());
        file.extend(record);
    }
}

/// A snapshot of these blocks, whose footer counts so many entries of each database.
pub(crate) fn snapshot(header: &Header, blocks: &[&[u8]], entries: [u64; 16]) -> Vec<u8> {
    let salt = header.salt.to_le_bytes();
    let mut file = [&b"kv-snp\r\n"[..], &1u32.to_le_bytes(), &salt].concat();
    file.extend(header.sequence.to_le_bytes());
    file.extend(header.created_ms.to_le_bytes());
    file.extend(crc32c::crc32c(&file).to_le_bytes());
    for (number, block) in (0u64..).zip(blocks) {
        let len = (block.len() as u64).to_le_bytes();
        let sealed = [&salt[..], &number.to_le_bytes(), &len, block].concat();
        file.extend(crc32c::crc32c(&sealed).to_le_bytes());
        file.extend(len);
        file.extend(*block);
    }
    let mut footer = b"kv-end\r\n".to_vec();
    footer.extend((blocks.len() as u64).to_le_bytes());
    footer.extend(blocks.iter().map(|block| block.len() as u64).sum::<u64>().to_le_bytes());
    footer.extend(entries.map(u64::to_le_bytes).concat());
    let crc = crc32c::crc32c(&[&salt[..], &footer].concat());
    file.extend(footer);
    file.extend(crc.to_le_bytes());
    file
}
