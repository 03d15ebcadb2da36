"""Processor time and memory of what is there anyway: the main job, idle clients, a key."""

import os
import socket
import subprocess
import threading
import time

from peers.part import Part, table
from peers.process import BUILD, fail, start_kv, start_redis, tree_memory_bytes
from peers.rounds import progress

JOB_SECONDS_MAX = 60
JOB_MEMORY_MB_MAX = 200
IDLE_CPU_PERCENT_MAX = 1.0
# Memory per key: so many keys `key:<12 digits>` with values of so many bytes, by either number of
# connections, and the highest allowed growth of resident memory over redis-server's.
MEMORY_KEYS, MEMORY_VALUE_BYTES = 2_000_000, 64
MEMORY_CONNECTIONS = (1, 32)
MEMORY_CEILING = 0.8


def job_part(_rounds, folder):
    """The main job: its time, and the memory of all its processes together."""
    command = [os.path.join(BUILD, "kv-bench"), "--servers", "4", "--threads", "32", "--requests",
               "100000", "--quiet", "--out", os.path.join(folder, "job")]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak_bytes = 0
    stop = threading.Event()

    def watch():
        nonlocal peak_bytes
        while not stop.wait(0.1):
            peak_bytes = max(peak_bytes, tree_memory_bytes(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    stop.set()
    watcher.join()
    if code != 0:
        fail(f"the main job ended with exit code {code}")
    row = {"case": "--servers 4 --threads 32 --requests 100000",
           "seconds": time.monotonic() - began, "memory_mb": peak_bytes / 1e6}
    progress(row)
    return [row]


def idle_part(_rounds, folder):
    """What 32 connections cost kv-server that do nothing."""
    server = start_kv(folder)
    seconds = 5
    try:
        connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(32)]
        for connection in connections:
            connection.sendall(b"PING\r\n")
            connection.recv(64)
        before = server.cpu_s()
        time.sleep(seconds)
        percent = (server.cpu_s() - before) / seconds * 100
        for connection in connections:
            connection.close()
    finally:
        server.stop()
    row = {"case": "32 idle connections", "cpu_percent": percent}
    progress(row)
    return [row]


def set_keys(port, keys, batch=10_000):
    """Sets these keys over one connection, a batch at a time."""
    value = b"v" * MEMORY_VALUE_BYTES
    with socket.create_connection(("127.0.0.1", port)) as connection:
        replies = connection.makefile("rb")
        for start in range(keys.start, keys.stop, batch):
            part = range(start, min(start + batch, keys.stop))
            connection.sendall(b"".join(
                b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n%b\r\n" % (key, len(value), value)
                for key in part))
            if replies.read(5 * len(part)) != b"+OK\r\n" * len(part):
                fail("a SET was not answered with OK")


def bytes_per_key(start, connections, folder):
    server = start(folder)
    try:
        before = tree_memory_bytes(server.process.pid)
        share = MEMORY_KEYS // connections
        loaders = [threading.Thread(target=set_keys,
                                    args=(server.port, range(share * n, share * (n + 1))))
                   for n in range(connections)]
        for loader in loaders:
            loader.start()
        for loader in loaders:
            loader.join()
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"DBSIZE\r\n")
            reply = connection.recv(64)
        # A loader that failed has said so in its own thread alone.
        if reply != b":%d\r\n" % MEMORY_KEYS:
            fail(f"{server.name} holds {reply!r} instead of {MEMORY_KEYS} keys")
        return (tree_memory_bytes(server.process.pid) - before) / MEMORY_KEYS
    finally:
        server.stop()


def memory_part(_rounds, folder):
    """Growth of resident memory by the same keys in either server."""
    rows = []
    for connections in MEMORY_CONNECTIONS:
        ours = bytes_per_key(start_kv, connections, folder)
        theirs = bytes_per_key(start_redis, connections, folder)
        rows.append({"case": f"{MEMORY_KEYS:,} 16-byte keys with {MEMORY_VALUE_BYTES}-byte values, "
                             f"{connections} connection{'s'[:connections - 1]}",
                     "kv-server": ours, "redis-server": theirs, "ratio": ours / theirs})
        progress(rows[-1])
    return rows


def job_lines(rows):
    return [f"Main job `kv-bench {row['case']}`: {row['seconds']:.1f} s (at most {JOB_SECONDS_MAX}), "
            f"{row['memory_mb']:.0f} MB resident in all its processes (at most {JOB_MEMORY_MB_MAX})."
            for row in rows]


def job_misses(rows):
    return [f"main job: {row['seconds']:.1f} s, {row['memory_mb']:.0f} MB" for row in rows
            if row["seconds"] > JOB_SECONDS_MAX or row["memory_mb"] > JOB_MEMORY_MB_MAX]


def idle_lines(rows):
    return [f"kv-server with {row['case']}: {row['cpu_percent']:.1f} % of a core (below "
            f"{IDLE_CPU_PERCENT_MAX:.0f})." for row in rows] + [""]


def idle_misses(rows):
    return [f"{row['case']}: {row['cpu_percent']:.1f} % CPU" for row in rows
            if row["cpu_percent"] >= IDLE_CPU_PERCENT_MAX]


def memory_lines(rows):
    return table("Memory per key", [("case", False), ("kv-server bytes/key", True),
                                    ("redis-server bytes/key", True), ("ratio", True),
                                    ("ceiling", True)],
                 [(row["case"], f"{row['kv-server']:.1f}", f"{row['redis-server']:.1f}",
                   f"{row['ratio']:.2f}", MEMORY_CEILING) for row in rows])


def memory_misses(rows):
    return [f"{row['case']}: {row['ratio']:.2f} × redis-server's memory per key, ceiling "
            f"{MEMORY_CEILING}" for row in rows if row["ratio"] > MEMORY_CEILING]


PARTS = (
    Part("job", (), job_part, job_lines, job_misses),
    Part("idle", (), idle_part, idle_lines, idle_misses),
    Part("memory", ("redis-server",), memory_part, memory_lines, memory_misses),
)
