//! A key-value store in memory, and all that speaks its protocol without a socket of its own but the client's.
//!
//! ```text
//! bytes → resp/request → Call → Engine( Table ) → resp/encode → bytes
//! ```
//!
//! * [`resp`] decodes requests and replies incrementally and encodes replies, RESP2 and RESP3.
//! * [`command`] is the table of commands: what they are called, touch, and do.
//! * [`engine`] runs them, each one or each batch atomic and isolated.
//! * [`table`] holds the entries in locked shards that grow one small segment at a time.
//! * [`ring`] says which of several servers owns a key.
//! * [`client`] talks to one server, [`ring_client`] to the owners of keys.
//!
//! It is not a server (that is `kv-server`), it has no threads of its own, and it keeps nothing on
//! disk.

pub mod client;
pub mod command;
pub mod engine;
pub mod resp;
pub mod ring;
pub mod ring_client;
pub mod table;

pub use command::{Call, CommandError, Spec};
pub use engine::{Clock, Engine};
