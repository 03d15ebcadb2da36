"""Servers by their throughput, and the generators by what an operation costs them."""

import contextlib

from peers.generators import (benchmark_ops_s, headline, kv_bench, preload, redis_benchmark, trust)
from peers.part import Part, table, verdicts
from peers.process import run, start_kv, start_memcached, start_redis
from peers.rounds import alternate, median, progress, ratio

# (connections, pipeline, requests per run, lowest allowed throughput over redis-server's)
SERVER_CASES = [(1, 1, 20_000, 1.0), (32, 1, 100_000, 0.85), (32, 16, 600_000, 1.2),
                (32, 64, 1_200_000, 1.8)]
# (pipeline, requests per run) of the three servers that kv-bench drives over 32 connections.
MEMCACHED_CASES = [(1, 100_000), (16, 600_000)]
# Lowest allowed throughput over redis-server's with kv-bench's 32 threads driving.
THREADS_FLOOR = 1.0


def compare_servers(rounds, servers, folder, command, parse, requests):
    def measure(name):
        server = servers[name]
        before = server.cpu_s()
        output, _ = run(command(server.port))
        return {"ops_s": parse(output),
                "cpu_us": (server.cpu_s() - before) / requests * 1e6}

    values = alternate(rounds, list(servers), measure)
    row = {"ratio": ratio(values, *servers, "ops_s"), "rounds": values}
    for name in servers:
        row[name] = {key: median(values, name, key) for key in ("ops_s", "cpu_us")}
    return row


def servers_part(rounds, folder):
    """redis-benchmark drives both servers."""
    rows = []
    with both_servers(folder) as servers:
        for connections, pipeline, requests, floor in SERVER_CASES:
            for test in ("get", "set"):
                row = compare_servers(
                    rounds, servers, folder,
                    lambda port: redis_benchmark(port, connections, pipeline, test, requests),
                    benchmark_ops_s,
                    requests)
                rows.append({"case": f"{test.upper()}, {connections} connections, pipeline "
                                     f"{pipeline}", "floor": floor, **row})
                progress(rows[-1])
    return rows


@contextlib.contextmanager
def both_servers(folder):
    """kv-server and redis-server with the same keys, stopped whatever happens."""
    with contextlib.ExitStack() as stack:
        servers = {}
        for name, start in (("kv-server", start_kv), ("redis-server", start_redis)):
            servers[name] = start(folder)
            stack.callback(servers[name].stop)
            preload(servers[name], folder)
        yield servers


def threads_part(rounds, folder):
    """kv-bench's 32 threads drive both servers."""
    rows = []
    requests = 100_000
    with both_servers(folder) as servers:
        for name, mix in (("GET", "get=100"), ("SET", "put=100")):
            row = compare_servers(
                rounds, servers, folder,
                lambda port: kv_bench(port, 32, 1, 1, mix, requests, folder),
                lambda _: headline(folder)["throughput_ops_s"], requests)
            rows.append({"case": f"{name}, 32 kv-bench threads, pipeline 1",
                         "floor": THREADS_FLOOR, "trust": trust(folder), **row})
            progress(rows[-1])
    return rows


def memcached_part(rounds, folder):
    """kv-bench drives kv-server, redis-server and memcached with the same operations."""
    rows = []
    with contextlib.ExitStack() as stack:
        servers = {}
        for start in (start_kv, start_redis, start_memcached):
            server = start(folder)
            stack.callback(server.stop)
            servers[server.name] = server
            scheme = "memcached" if start is start_memcached else "redis"
            run(kv_bench(server.port, 1, 1, 1, "get=100", 1000, folder, scheme) + ["--preload"])
        for pipeline, requests in MEMCACHED_CASES:
            for name, mix in (("GET", "get=100"), ("SET", "put=100")):
                rows.append({"case": f"{name}, 32 connections, pipeline {pipeline}",
                             **drive_each(rounds, servers, pipeline, mix, requests, folder)})
                progress(rows[-1])
    return rows


def drive_each(rounds, servers, pipeline, mix, requests, folder):
    def measure(name):
        server = servers[name]
        before = server.cpu_s()
        scheme = "memcached" if name == "memcached" else "redis"
        run(kv_bench(server.port, 1, 32, pipeline, mix, requests, folder, scheme))
        return {"ops_s": headline(folder)["throughput_ops_s"],
                "cpu_us": (server.cpu_s() - before) / requests * 1e6}

    values = alternate(rounds, list(servers), measure)
    row = {name: {key: median(values, name, key) for key in ("ops_s", "cpu_us")}
           for name in servers}
    row["ratio"] = ratio(values, "kv-server", "memcached", "ops_s")
    return {**row, "trust": trust(folder), "rounds": values}


def server_lines(title):
    def lines(rows):
        shown = table(title, [("case", False), ("kv-server ops/s", True),
                              ("redis-server ops/s", True), ("ratio", True), ("floor", True),
                              ("kv-server CPU µs/op", True), ("redis-server CPU µs/op", True)],
                      [(row["case"], f"{row['kv-server']['ops_s']:,.0f}",
                        f"{row['redis-server']['ops_s']:,.0f}", f"{row['ratio']:.2f}", row["floor"],
                        f"{row['kv-server']['cpu_us']:.2f}", f"{row['redis-server']['cpu_us']:.2f}")
                       for row in rows])
        if verdicts(rows):
            shown += [f"kv-bench's own verdict on the last of these runs: {verdicts(rows)}.", ""]
        return shown
    return lines


def server_misses(rows):
    return [f"{row['case']}: {row['ratio']:.2f} × redis-server, floor {row['floor']}"
            for row in rows if row["ratio"] < row["floor"]]


def memcached_lines(rows):
    names = ("kv-server", "redis-server", "memcached")
    return table("Servers beside memcached, kv-bench driving over 32 connections from one thread",
                 [("case", False), *((f"{name} ops/s", True) for name in names),
                  ("kv-server : memcached", True), ("CPU µs/op of each", True)],
                 [(row["case"], *(f"{row[name]['ops_s']:,.0f}" for name in names),
                   f"{row['ratio']:.2f}", " : ".join(f"{row[name]['cpu_us']:.2f}" for name in names))
                  for row in rows]) + [
        f"kv-bench's own verdict on the last run of each case: {verdicts(rows)}. memcached is driven "
        "by its meta commands.", ""]


PARTS = (
    Part("servers", ("redis-server", "redis-benchmark"), servers_part,
         server_lines("Servers, redis-benchmark driving"), server_misses),
    Part("threads", ("redis-server", "redis-benchmark"), threads_part,
         server_lines("Servers, kv-bench driving with 32 threads"), server_misses),
    Part("memcached", ("redis-server", "memcached"), memcached_part, memcached_lines,
         lambda _rows: []),
)
