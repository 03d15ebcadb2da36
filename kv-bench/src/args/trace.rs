//! Flags of traces.

use std::path::PathBuf;

use clap::Args;

const TRACE_HELP: &str = "\
Replay a trace of what real clients asked for; - is standard input. In place of --mix, --keys and \
--value-size it says which operations there are, on which keys, with values of which sizes.

  twitter  timestamp,key,key size,value size,client id,operation,TTL:
           Twitter's cache traces
  meta     CSV whose header names key, op and size, and perhaps
           op_time, key_size, op_count and ttl: kvcache traces, as for
           CacheLib
  monitor  1460100081.165665 [0 127.0.0.1:51706] \"set\" \"key\" \"value\":
           what redis-cli monitor prints

It may be compressed with zstd, whatever its name, and of any size: it is looked at once before the run, \
and read while it runs. Operations on one key go to one client in their order (of commands with several \
keys, by the first); all of them, with --threads 1 --clients 1.

gets are gets; set, add, replace, cas, append and prepend are puts of a new value of that size, which is \
random, and a number up to 18 bytes; incr and decr are what they are, where the target knows them. Keys \
are as in the trace, filled up to the size that it names, and begin with kvb: on running servers, which \
get the writes of the trace too. Times to live are kept, memcached's up to 30 days. Of MONITOR, commands are sent with their own \
values, each by itself and under its own name in the result. Left out and counted by name: whatever is \
not known to touch its keys alone and to answer at once (FLUSHALL, CONFIG, SUBSCRIBE, BLPOP, MULTI, EVAL; \
what scripts called is replayed), and lines of another database than that of the first key.

Bad lines are counted and the first of them told; more than 1 % of all are too many. Examples: \
--trace cluster12.zst --requests 1m; --trace monitor.log --trace-speed 2";

const SPEED_HELP: &str = "\
How fast it is replayed: a factor, or max.

  1    when it was, an open loop: each operation is due at its time,
       whether or not replies come, and its response time counts from
       there
  2.5  as many times as fast (or as slow, with 0.5)
  max  as fast as replies come, a closed loop over all clients

Times in whole seconds are spread over their second: at random (--arrivals poisson, the default), or \
evenly (constant). Times that go backwards are taken for the latest before. The run ends with the trace, \
or earlier with --requests or --duration. Example: --trace-speed max";

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Trace")]
pub struct TraceArgs {
    /// Replay a trace: Twitter's cache traces, Meta's kvcache, Redis' MONITOR; plain or zstd. See --help.
    #[arg(long, value_name = "FILE", long_help = TRACE_HELP)]
    pub trace: Option<PathBuf>,

    /// The trace's format: auto, twitter, meta, monitor. Default: auto, by its first lines.
    #[arg(long, value_name = "NAME", requires = "trace")]
    pub trace_format: Option<String>,

    /// How many times as fast as it was, or max: as fast as replies come. Default: 1.
    #[arg(long, value_name = "FACTOR", requires = "trace", long_help = SPEED_HELP)]
    pub trace_speed: Option<String>,
}
