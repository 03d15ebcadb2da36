//! What `--help` says of servers that are away.

pub(super) const ON_NODE_FAIL_HELP: &str = "\
What becomes of operations whose server is away, of several that share the \
keys by a ring.

  error  they wait for it until --timeout, and are errors
  eject  after 3 attempts to connect to it that failed in a row, of
         whichever clients, the others have its keys, by the ring
         without it, and keep their own, as with twemproxy's
         auto_eject_hosts; what is in flight then fails. It has its
         keys back with the first connection that succeeds. One server
         always stays
  next   an operation that fails there (connection lost, or --timeout)
         is tried once more, at the server that the ring without it
         names, which has a --timeout of its own for that; while there
         is no connection it goes there at once, and waits for either
         where both are away, for one try. A put may so be done at
         both

Times count from the beginning, both tries together. The result says which \
server, when and for how long, and how many operations went to others. Their \
keys are not there: gets miss until somebody puts them, and when the server is \
back it has what it had, and not what others were given meanwhile. That is no \
fault of the servers, but --verify could not tell it from one, and goes with \
error alone. A Redis Cluster fails over by itself. A server that cannot be \
reached at the very beginning is an error with each of them. \
Example: --servers 4 --on-node-fail eject --chaos kill:2@5s --duration 10s";
