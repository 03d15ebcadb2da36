"""The two load generators beside each other, and what kv-bench alone is held to."""

import resource

from peers.generators import (headline, kv_bench, kv_bench_run, preload, redis_benchmark, trust)
from peers.part import Part, table, verdicts
from peers.process import fail, run, start_redis
from peers.rounds import alternate, median, progress, ratio

# (pipeline, requests per run, highest allowed CPU time per operation over redis-benchmark's)
GENERATOR_CASES = [(1, 200_000, 0.65), (16, 1_500_000, 0.75)]
PACES_OPS_S = (1_000, 10_000, 50_000)
PACE_DURATION = "5s"
# Highest allowed difference from the rate asked for, and lateness at the median.
PACE_OFF_MAX = 0.001
LATENESS_US_MAX = 50
MANY_CLIENTS = 10_000


def generator_part(rounds, folder):
    """CPU time per GET of the two generators, whole process, all recording on."""
    server = start_redis(folder)
    rows = []
    try:
        preload(server, folder)
        for pipeline, requests, ceiling in GENERATOR_CASES:
            commands = {
                "kv-bench": kv_bench(server.port, 1, 32, pipeline, "get=100", requests, folder),
                "redis-benchmark": redis_benchmark(server.port, 32, pipeline, "get", requests),
            }
            values = alternate(rounds, list(commands),
                               lambda name: {"cpu_us": run(commands[name])[1] / requests * 1e6})
            row = {"case": f"GET, 32 connections, pipeline {pipeline}", "ceiling": ceiling,
                   "ratio": ratio(values, "kv-bench", "redis-benchmark", "cpu_us"),
                   "rounds": values}
            for name in commands:
                row[name] = {"cpu_us": median(values, name, "cpu_us")}
            rows.append(row)
            progress(row)
    finally:
        server.stop()
    return rows


def pace_part(rounds, folder):
    """How exactly kv-bench keeps a rate, against one redis-server."""
    server = start_redis(folder)
    try:
        kv_bench_run(server.port, folder, "--preload", "--requests", "1k")

        def measure(rate):
            kv_bench_run(server.port, folder, "--mix", "get=100", "--rate", str(rate), "--arrivals",
                         "constant", "--duration", PACE_DURATION)
            found = headline(folder)
            return {"off": found["throughput_ops_s"] / rate - 1,
                    "lateness_p50_us": found["lateness_us"]["p50"],
                    "lateness_p99_us": found["lateness_us"]["p99"], "trust": trust(folder)}

        values = alternate(rounds, PACES_OPS_S, measure)
    finally:
        server.stop()
    rows = []
    for rate in PACES_OPS_S:
        rows.append({"case": f"{rate:,} ops/s", "trust": values[rate][-1]["trust"],
                     "rounds": values[rate]}
                    | {key: median(values, rate, key)
                       for key in ("off", "lateness_p50_us", "lateness_p99_us")})
        progress(rows[-1])
    return rows


def connections_part(_rounds, folder):
    """kv-bench's two workers with ten thousand connections to one redis-server."""
    needed = MANY_CLIENTS + 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        fail(f"{MANY_CLIENTS:,} connections need ulimit -n {needed}; at most {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    server = start_redis(folder, options=("--maxclients", str(MANY_CLIENTS + 100)))
    try:
        kv_bench_run(server.port, folder, "--preload", "--mix", "get=100", "--threads", "2",
                     "--clients", str(MANY_CLIENTS // 2), "--requests", "500k")
        found = headline(folder)
    finally:
        server.stop()
    row = {"case": f"{MANY_CLIENTS:,} connections from two workers, 500,000 GETs",
           "throughput_ops_s": found["throughput_ops_s"], "p99_us": found["service_us"]["p99"]}
    progress(row)
    return [row]


def generator_lines(rows):
    return table("Generators, against one redis-server",
                 [("case", False), ("kv-bench CPU µs/op", True), ("redis-benchmark CPU µs/op", True),
                  ("ratio", True), ("ceiling", True)],
                 [(row["case"], f"{row['kv-bench']['cpu_us']:.2f}",
                   f"{row['redis-benchmark']['cpu_us']:.2f}", f"{row['ratio']:.2f}", row["ceiling"])
                  for row in rows])


def generator_misses(rows):
    return [f"{row['case']}: {row['ratio']:.2f} × redis-benchmark's CPU time, ceiling "
            f"{row['ceiling']}" for row in rows if row["ratio"] > row["ceiling"]]


def pace_lines(rows):
    return table("How exactly kv-bench keeps a rate, constant arrivals, against one redis-server",
                 [("rate", False), ("achieved", True), ("lateness p50 µs", True),
                  ("lateness p99 µs", True)],
                 [(row["case"], f"{row['off']:+.3%}", f"{row['lateness_p50_us']:,.1f}",
                   f"{row['lateness_p99_us']:,.1f}") for row in rows]) + [
        f"Wanted: within {PACE_OFF_MAX:.1%}, at the median at most {LATENESS_US_MAX} µs late where a "
        f"core is idle. kv-bench's own verdict on the last runs: {verdicts(rows)}.", ""]


def pace_misses(rows):
    return [f"{row['case']}: {row['off']:+.3%}, {row['lateness_p50_us']:,.1f} µs late at the median"
            for row in rows if abs(row["off"]) > PACE_OFF_MAX
            or row["lateness_p50_us"] > LATENESS_US_MAX]


def connections_lines(rows):
    return [f"{row['case']}: {row['throughput_ops_s']:,.0f} ops/s, no error; p99 "
            f"{row['p99_us'] / 1000:,.0f} ms." for row in rows] + [""]


PARTS = (
    Part("generator", ("redis-server", "redis-benchmark"), generator_part, generator_lines,
         generator_misses),
    Part("pace", ("redis-server",), pace_part, pace_lines, pace_misses),
    Part("connections", ("redis-server",), connections_part, connections_lines, lambda _rows: []),
)
