//! A key-value store in memory, and all that speaks its protocol.
//!
//! ```text
//! bytes → resp/request → Call → Engine( Table + Log ) → resp/encode → bytes
//! ```
//!
//! * [`resp`] decodes requests and replies incrementally and encodes replies, RESP2 and RESP3.
//! * [`command`] is the table of commands: what they are called, touch, and do.
//! * [`engine`] runs them, each one or each batch atomic and isolated.
//! * [`table`] holds the entries in locked shards that grow one small segment at a time.
//! * [`snapshot`] is the file that holds every entry as it was at one moment.
//! * [`log`] is the write-ahead log: what every change did, in order, in segments.
//! * [`data_dir`] is the folder of both: how a store is kept there and how it comes back.
//! * [`storage`] is where a store's files lie: a folder on disk.
//! * [`ring`] places keys on servers by their names: hash slots, ketama, or the original's ring.
//! * [`tls`] encrypts what goes over a socket, for both ends.
//! * [`client`] and [`ring_client`] are the blocking clients of one server and of many.
//!
//! It is not a server (that is `kv-server`): it has no sockets but the clients'.

pub mod client;
pub mod command;
pub mod data_dir;
pub mod engine;
pub mod log;
pub mod resp;
pub mod ring;
pub mod ring_client;
pub mod snapshot;
pub mod storage;
pub mod table;
pub mod tls;

pub use command::{Call, CommandError, Spec};
pub use engine::{Clock, Engine};
