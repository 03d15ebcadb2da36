"""What keeping costs while serving, and how fast what was kept is loaded."""

import contextlib
import os
import signal
import time

from peers.generators import benchmark_ops_s, redis_benchmark
from peers.part import Part, table
from peers.process import (BUILD, ask, connect, fail, free_port, launch, run, start_kv, start_redis)
from peers.rounds import median, progress, ratio
from peers.throughput import compare_servers

# (mode, pipeline, requests per run, beside which server, lowest allowed throughput over its)
DURABILITY_CASES = [("always", 1, 60_000, "redis-server appendfsync always", 2.0),
                    ("everysec", 1, 100_000, "kv-server none", 0.9),
                    ("everysec", 16, 600_000, "kv-server none", 0.9),
                    ("os", 1, 100_000, "kv-server none", None),
                    ("os", 16, 600_000, "kv-server none", None)]
# Lowest allowed keys per second over redis-server's, of 2 million 16-byte keys with 64-byte values.
RECOVERY_FLOOR = 2.0
RECOVERY_KEYS = 2_000_000
# What a store holds, where its name does not say it.
RECOVERY_STORES = {"kv-log": "kv-log (the last automatic snapshot and the tail of the log after it)",
                   "redis-aof": "redis-aof (never rewritten)"}


def durability_part(rounds, folder):
    """SET over 32 connections in each mode with a log, beside what it is to be measured by."""
    rows = []
    with contextlib.ExitStack() as stack:
        servers = {}
        for start, mode in ((start_redis, "always"), (start_kv, "none"), (start_kv, "always"),
                            (start_kv, "everysec"), (start_kv, "os")):
            server = start(folder, mode)
            stack.callback(server.stop)
            run(redis_benchmark(server.port, 32, 64, "set", 600_000))
            servers[server.name] = server
        for mode, pipeline, requests, beside, floor in DURABILITY_CASES:
            ours = f"kv-server {mode}"
            row = compare_servers(
                rounds, {ours: servers[ours], beside: servers[beside]}, folder,
                lambda port: redis_benchmark(port, 32, pipeline, "set", requests),
                benchmark_ops_s, requests)
            rows.append({"case": f"SET, 32 connections, pipeline {pipeline}", "ours": ours,
                         "beside": beside, "floor": floor, **row})
            progress(rows[-1])
    return rows


def recovery_part(rounds, folder):
    """How fast each server loads what it has kept of the same 2 million keys."""
    stores = {name: os.path.join(folder, name) for name in
              ("redis-rdb", "redis-aof", "kv-snapshot", "kv-log")}
    for path in stores.values():
        os.mkdir(path)
    port = free_port()
    redis = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir"]
    aof = ["--appendonly", "yes", "--appendfsync", "no", "--auto-aof-rewrite-percentage", "0"]
    kv = [os.path.join(BUILD, "kv-server"), "--port", str(port), "--durability", "os",
          "--loglevel", "error", "--data-dir"]
    commands = {"redis-rdb": redis + [stores["redis-rdb"]],
                "redis-aof": redis + [stores["redis-aof"], *aof],
                "kv-snapshot": kv + [stores["kv-snapshot"]], "kv-log": kv + [stores["kv-log"]]}
    for name, command in commands.items():
        fill(name, command, port)
    values = {name: [] for name in commands}
    for number in range(rounds):
        names = list(commands) if number % 2 == 0 else list(reversed(commands))
        for name in names:
            values[name].append({"keys_s": RECOVERY_KEYS / loading_s(commands[name], port)})
    rows = []
    for ours, beside in (("kv-snapshot", "redis-rdb"), ("kv-log", "redis-aof")):
        row = {"case": f"{ours} beside {beside}", "floor": RECOVERY_FLOOR, "ours": ours,
               "beside": beside, "ratio": ratio(values, ours, beside, "keys_s"),
               "rounds": {name: values[name] for name in (ours, beside)}}
        for name in (ours, beside):
            row[name] = {"keys_s": median(values, name, "keys_s")}
        rows.append(row)
        progress(row)
    return rows


def fill(name, command, port):
    """Puts the keys into a store. A log is left as kill -9 leaves it, so that of kv-server begins with
    the last snapshot that it took by itself; that of Redis is never rewritten."""
    process = launch(command)
    with connect(process, port) as connection:
        ask(connection, b"PING", b"+PONG")
        batch = 10_000
        for first in range(0, RECOVERY_KEYS, batch):
            connection.sendall(b"".join(
                b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$64\r\n%064d\r\n" % (key, key)
                for key in range(first, first + batch)))
            left = 5 * batch
            while left:
                received = len(connection.recv(left))
                if not received:
                    fail(f"{name} ended while it was filled")
                left -= received
        if name.endswith(("rdb", "snapshot")):
            connection.settimeout(120)
            ask(connection, b"SAVE", b"+OK")
    process.send_signal(signal.SIGTERM if name.startswith("redis") else signal.SIGKILL)
    process.wait()


def loading_s(command, port):
    """Seconds from the start of a server to its first reply with all keys."""
    began = time.monotonic()
    process = launch(command)
    try:
        with connect(process, port) as connection:
            while time.monotonic() < began + 120:
                connection.sendall(b"DBSIZE\r\n")
                reply = connection.recv(256)
                if reply.startswith(b":"):
                    elapsed = time.monotonic() - began
                    if reply != b":%d\r\n" % RECOVERY_KEYS:
                        fail(f"{command[0]} has loaded {reply!r}")
                    return elapsed
                if not reply.startswith(b"-LOADING"):
                    break
                time.sleep(0.002)
            fail(f"{command[0]} has not loaded its keys: {reply!r}")
    finally:
        process.kill()
        process.wait()


def durability_lines(rows):
    return table("What a log costs, redis-benchmark driving",
                 [("case", False), ("ops/s", True), ("beside", False), ("ratio", True),
                  ("floor", True), ("CPU µs/op", True)],
                 [(f"{row['case']}, {row['ours']}", f"{row[row['ours']]['ops_s']:,.0f}",
                   f"{row['beside']}: {row[row['beside']]['ops_s']:,.0f}", f"{row['ratio']:.2f}",
                   row["floor"] or "",
                   f"{row[row['ours']]['cpu_us']:.2f} : {row[row['beside']]['cpu_us']:.2f}")
                  for row in rows])


def recovery_lines(rows):
    def store(name):
        return RECOVERY_STORES.get(name, name)

    return table(f"Loading {RECOVERY_KEYS:,} 16-byte keys with 64-byte values, from the start of the "
                 "process to its answer",
                 [("store", False), ("keys/s", True), ("beside", False), ("ratio", True),
                  ("floor", True)],
                 [(store(row["ours"]), f"{row[row['ours']]['keys_s']:,.0f}",
                   f"{store(row['beside'])}: {row[row['beside']]['keys_s']:,.0f}",
                   f"{row['ratio']:.2f}", row["floor"]) for row in rows])


def misses(rows):
    return [f"{row['case']}: {row['ours']} {row['ratio']:.2f} × {row['beside']}, floor {row['floor']}"
            for row in rows if row["floor"] and row["ratio"] < row["floor"]]


PARTS = (
    Part("durability", ("redis-server", "redis-benchmark"), durability_part, durability_lines,
         misses),
    Part("recovery", ("redis-server",), recovery_part, recovery_lines, misses),
)
