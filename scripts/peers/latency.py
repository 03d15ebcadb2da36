"""Response times in the open loop, at a share of what each server can do: beside a log that is synced
before each reply, and while snapshots are written."""

import contextlib
import os
import socket
import threading
import time

from peers.generators import headline, kv_bench_run, last_result, trust
from peers.part import Part, table, verdicts
from peers.process import BUILD, Server, fail, start_kv, start_redis
from peers.rounds import alternate, median, progress, ratio

CAPACITY_SHARE = 0.3
CLOSED_LOOP = ["--threads", "1", "--clients", "32", "--duration", "2s"]
MIXES = ("get=90,put=10", "get=50,put=50")
# Highest allowed p99 of GETs in `always`, over that without persistence.
ALWAYS_CEILING = 2.0
ALWAYS_DURATION = "5s"
SNAPSHOT_KEYS, SNAPSHOT_VALUE_BYTES = 1_000_000, 1_000
SNAPSHOT_MIX = "get=90,put=10"
SNAPSHOT_DURATION_S = 10
# Longest a snapshot may take, and what it may add to the p99.9 of all operations.
SNAPSHOT_SECONDS_MAX = 60
SNAPSHOT_ADDED_US_MAX = 1000


def capacity_ops_s(server, mix, folder):
    kv_bench_run(server.port, folder, "--mix", mix, *CLOSED_LOOP)
    return headline(folder)["throughput_ops_s"]


def always_part(rounds, folder):
    """GETs of a mixed load with and without a log in `always`, at the same rate."""
    rows = []
    with contextlib.ExitStack() as stack:
        families = {"kv-server": (start_kv(folder, "none"), start_kv(folder, "always")),
                    "redis-server": (start_redis(folder), start_redis(folder, "always"))}
        for pair in families.values():
            for server in pair:
                stack.callback(server.stop)
                kv_bench_run(server.port, folder, "--mix", "put=100", "--preload", *CLOSED_LOOP)
        for mix in MIXES:
            rates = {name: CAPACITY_SHARE * capacity_ops_s(always, mix, folder)
                     for name, (_, always) in families.items()}
            sides = {server.name: (server.port, rates[name])
                     for name, pair in families.items() for server in pair}

            def measure(side):
                port, rate = sides[side]
                kv_bench_run(port, folder, "--mix", mix, "--rate", str(round(rate)), "--duration",
                             ALWAYS_DURATION)
                headline(folder)
                return {"get_p99_us": last_result(folder)["operations"]["get"]["response_us"]["p99"],
                        "trust": trust(folder)}

            values = alternate(rounds, list(sides), measure)
            for name, (none, always) in families.items():
                rows.append({"case": f"{name}, {mix}", "rate_ops_s": rates[name],
                             "none_p99_us": median(values, none.name, "get_p99_us"),
                             "always_p99_us": median(values, always.name, "get_p99_us"),
                             "ratio": ratio(values, always.name, none.name, "get_p99_us"),
                             "trust": values[always.name][-1]["trust"],
                             "rounds": {side: values[side] for side in (none.name, always.name)}})
                progress(rows[-1])
    return rows


def start_with_snapshots(folder):
    """Servers that keep nothing unless told to."""
    kv = Server("kv-server", [os.path.join(BUILD, "kv-server"), "--port", "{port}", "--loglevel",
                              "error", "--durability", "snapshot", "--snapshot-interval", "86400",
                              "--data-dir", "{folder}/kv-snapshots"], folder)
    return {"kv-server": kv, "redis-server": start_redis(folder)}


class Snapshots:
    """Snapshots of a server, one after the other for as long as the block lasts."""

    def __init__(self, port):
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.replies = self.connection.makefile("rb")
        self.seconds = []
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.take)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()
        self.connection.close()

    def take(self):
        while not self.ends.is_set():
            began = time.monotonic()
            self.connection.sendall(b"BGSAVE\r\n")
            if not self.replies.readline().startswith(b"+Background saving started"):
                return
            while self.in_progress():
                time.sleep(0.05)
            self.seconds.append(time.monotonic() - began)

    def in_progress(self):
        self.connection.sendall(b"INFO persistence\r\n")
        length = int(self.replies.readline()[1:])
        return b"rdb_bgsave_in_progress:1" in self.replies.read(length + 2)


def snapshot_part(rounds, folder):
    """All operations of a mixed load, with snapshots throughout and without, at the same rate."""
    rows = []
    keys = ["--keys", str(SNAPSHOT_KEYS), "--value-size", str(SNAPSHOT_VALUE_BYTES)]
    with contextlib.ExitStack() as stack:
        servers = start_with_snapshots(folder)
        for server in servers.values():
            stack.callback(server.stop)
            kv_bench_run(server.port, folder, "--mix", "get=100", "--preload", *keys, *CLOSED_LOOP)
        rates = {}
        for name, server in servers.items():
            kv_bench_run(server.port, folder, "--mix", SNAPSHOT_MIX, *keys, *CLOSED_LOOP)
            rates[name] = CAPACITY_SHARE * headline(folder)["throughput_ops_s"]

        def measure(side):
            name, saving = side
            server = servers[name]
            arguments = ["--mix", SNAPSHOT_MIX, *keys, "--rate", str(round(rates[name])),
                         "--duration", f"{SNAPSHOT_DURATION_S}s"]
            snapshots = []
            if saving:
                with Snapshots(server.port) as taken:
                    kv_bench_run(server.port, folder, *arguments)
                snapshots = taken.seconds
                if not snapshots:
                    fail(f"{name} took no snapshot")
            else:
                kv_bench_run(server.port, folder, *arguments)
            response_us = headline(folder)["response_us"]
            return {"p99_us": response_us["p99"], "p99_9_us": response_us["p99_9"],
                    "snapshots_s": snapshots, "trust": trust(folder)}

        values = alternate(rounds, [(name, saving) for name in servers for saving in (False, True)],
                           measure)
        for name in servers:
            pairs = list(zip(values[name, False], values[name, True]))
            added = sorted(saving["p99_9_us"] - quiet["p99_9_us"] for quiet, saving in pairs)
            rows.append({"case": name, "rate_ops_s": rates[name],
                         "quiet_p99_9_us": median(values, (name, False), "p99_9_us"),
                         "saving_p99_9_us": median(values, (name, True), "p99_9_us"),
                         "added_us": added[len(added) // 2],
                         "longest_s": max(max(saving["snapshots_s"]) for _, saving in pairs),
                         "trust": pairs[-1][1]["trust"],
                         "rounds": [{"quiet": quiet, "saving": saving} for quiet, saving in pairs]})
            progress(rows[-1])
    return rows


def always_lines(rows):
    return table(f"GETs of a mixed load in `always`, at {CAPACITY_SHARE:.0%} of its capacity in the "
                 "open loop",
                 [("case", False), ("rate ops/s", True), ("p99 without persistence µs", True),
                  ("p99 in `always` µs", True), ("ratio", True), ("ceiling", True)],
                 [(row["case"], f"{row['rate_ops_s']:,.0f}", f"{row['none_p99_us']:,.0f}",
                   f"{row['always_p99_us']:,.0f}", f"{row['ratio']:.2f}",
                   ALWAYS_CEILING if row["case"].startswith("kv-server") else "") for row in rows]
                 ) + [f"kv-bench's own verdict on the last runs: {verdicts(rows)}.", ""]


def always_misses(rows):
    return [f"{row['case']}: GET p99 in `always` {row['ratio']:.2f} × that without persistence, "
            f"ceiling {ALWAYS_CEILING}" for row in rows
            if row["case"].startswith("kv-server") and row["ratio"] > ALWAYS_CEILING]


def snapshot_lines(rows):
    size_gb = SNAPSHOT_KEYS * SNAPSHOT_VALUE_BYTES / 1e9
    return table(f"Snapshots of {size_gb:.0f} GB, one after the other, at {CAPACITY_SHARE:.0%} of the "
                 "capacity in the open loop",
                 [("server", False), ("rate ops/s", True), ("p99.9 without µs", True),
                  ("p99.9 with µs", True), ("added µs", True), ("longest snapshot s", True)],
                 [(row["case"], f"{row['rate_ops_s']:,.0f}", f"{row['quiet_p99_9_us']:,.0f}",
                   f"{row['saving_p99_9_us']:,.0f}", f"{row['added_us']:,.0f}",
                   f"{row['longest_s']:.1f}") for row in rows]
                 ) + [f"kv-bench's own verdict on the last runs: {verdicts(rows)}. Ceilings for "
                      f"kv-server: {SNAPSHOT_ADDED_US_MAX:,} µs added, {SNAPSHOT_SECONDS_MAX} s.", ""]


def snapshot_misses(rows):
    return [f"a snapshot of {row['case']} adds {row['added_us']:,.0f} µs to p99.9 and takes "
            f"{row['longest_s']:.1f} s, ceilings {SNAPSHOT_ADDED_US_MAX:,} µs and "
            f"{SNAPSHOT_SECONDS_MAX} s" for row in rows
            if row["case"] == "kv-server" and (row["added_us"] > SNAPSHOT_ADDED_US_MAX
                                               or row["longest_s"] > SNAPSHOT_SECONDS_MAX)]


PARTS = (
    Part("always", ("redis-server",), always_part, always_lines, always_misses),
    Part("snapshot", ("redis-server",), snapshot_part, snapshot_lines, snapshot_misses),
)
