//! Long forms of help: tables of what a flag may be.
//!
//! Behind clap's indent of ten a line of them has 70 columns on a terminal of 80; longer ones would be
//! broken, and the table with them.

pub(super) const WORKLOAD: &str = "\
A workload that has a name; each of its flags can be typed to be another.

  ycsb-a        half gets, half puts, of 1,000 bytes; ycsb-scrambled
  ycsb-b        the same with --mix get=95,put=5
  ycsb-c        the same with --mix get=100
  ycsb-d        --mix get=95,insert=5 --key-distribution latest:0.99,
                of 1,000 bytes
  ycsb-f        as ycsb-a with --mix get=50,rmw=50
  facebook-etc  --mix get=30,put=1 --value-size facebook-etc
                --key-distribution zipfian:0.99
  mixgraph      --mix get=83,put=14 --key-distribution mixgraph
                --value-size pareto:0:25.45:0.2615:1024: RocksDB's
                model of a database of Facebook's, without its seeks
                (3 %), which go through keys in their order, and with
                keys of 16 bytes (20 on running servers) and not 48;
                its mean rate is --rate 4500
  cache         --mix get=100 --key-distribution zipfian:0.99
                --ttl 60s, and a put of each key that a get has
                missed: an operation of its own, beyond --requests
                and --rate, which are of what is drawn; spawned
                servers begin empty but for what the warm-up puts,
                unless --preload is given: --warmup 0 for a cold one

Its puts go to running servers too. ycsb-e is not here: it scans keys in \
their order, and SCAN of Redis goes through them in none. Example: \
--workload ycsb-b --keys 1m";

pub(super) const MIX: &str = "\
Proportions of operations; one name alone is valid too.

  get, delete  of any of the --keys
  put          of any of them, with a new value
  insert       a put of a key that nobody had before, numbered from
               --keys up; with --key-distribution latest the others
               ask for the newest that are stored, and else for the
               first --keys; each of several measurements (--repeat,
               the curve) begins with these, and knows nothing of
               what those before inserted
  rmw          read, modify, write: a get whose reply is followed by
               a put of the same key; one operation, from the
               beginning of the get to the end of the put, which are
               shown with the others' besides

Default: get=90,put=9,delete=1 on spawned servers, get=100 on running ones, \
or --workload's. A delete-only run takes its own preloaded key each time. \
Example: --mix get=50,put=50";

pub(super) const COMMAND: &str = "\
A command to send, instead of --mix; repeat it for several.

  __key__   a key of the --keys; within a command always the same
            one. The first word that has it chooses the server. It
            may have text around it, z:__key__, and there no second
            place
  __data__  a value of --value-size

Words are set apart by blanks, and put in quotes as in redis-cli. Any reply \
that is no error is a success, and nil a miss. In the result a command goes \
by its name. It is sent to running servers too, whatever it does; keys are \
preloaded as strings. Examples: --command 'SET __key__ __data__ EX 10'; \
--command 'ZADD z:__key__ 1 __data__' --command-ratio 1 \
--command 'ZCARD z:__key__' --command-ratio 9";

pub(super) const VALUE_SIZE: &str = "\
Bytes per value: one size, a range, a weighted list, or a law. Sizes take k and m.

  100            every value (the default)
  64..1k         all sizes from the first to the second, all equally
                 likely
  64=90,1k=9,100k=1
                 sizes with weights
  facebook-etc   a memcached pool of Facebook's: half below 39 bytes,
                 a tenth above 520, 194 on average, 1 MiB at most
  pareto:LOCATION:SCALE:SHAPE[:MAX]
                 a generalized Pareto law in bytes, up to MAX (1 MiB)

Examples: --value-size 1k; --value-size pareto:0:25.45:0.2615:1k";

pub(super) const KEY_DISTRIBUTION: &str = "\
How keys are chosen: a name, with parameters behind colons where the defaults, here in brackets, \
won't do. Shares are from 0 to 1, or in percent.

  uniform              every key equally likely (the default)
  sequential           each client walks all keys in order,
                       or with --rate each worker
  zipfian[:0.99]       Zipf's law with this exponent (0 to 10),
                       exactly; the hot keys are spread over all keys
  latest[:0.99]        Zipf's law from the last key down, which with
                       inserts is the newest that is stored
  hotspot[:0.2:0.8]    the first 20 % of the keys get 80 % of the
                       operations
  moving-hotspot[:0.2:0.8:100k]
                       the same, with hot keys that are replaced one
                       by one, all of them within 100,000 operations
                       of the run
  gaussian[:0.1667:0.5]
                       a bell over the keys: its deviation and its
                       centre, as shares of all keys
  exponential[:0.857:0.95]
                       popularity that falls from key to key, so that
                       the first 85.7 % get 95 % of the operations
  ycsb-zipfian[:0.99]  YCSB's generators as they are, to compare with
  ycsb-scrambled       its results: not quite Zipf's law, and rather
                       less skewed
  mixgraph             hot ranges of keys, and hot keys within each,
                       as RocksDB's db_bench models a database of
                       Facebook's

Examples: --key-distribution zipfian:1.2; --key-distribution hotspot:10%:90%";
