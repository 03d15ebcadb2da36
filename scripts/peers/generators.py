"""The two load generators, and what they print."""

import json
import os

from peers.process import BUILD, fail, run


def redis_benchmark(port, connections, pipeline, test, requests):
    return ["redis-benchmark", "-p", str(port), "-c", str(connections), "-P", str(pipeline), "-t",
            test, "-n", str(requests), "-r", "100000", "-d", "100", "--csv"]


def benchmark_ops_s(output):
    return float(output.strip().splitlines()[-1].split(",")[1].strip('"'))


def kv_bench(port, threads, clients, pipeline, mix, requests, folder, scheme="redis"):
    # The default value is 100 bytes, the default keys are 100,000.
    return [os.path.join(BUILD, "kv-bench"), "run", "--target", f"{scheme}://127.0.0.1:{port}",
            "--threads", str(threads), "--clients", str(clients), "--pipeline", str(pipeline),
            "--mix", mix, "--requests", str(requests), "--warmup", "0", "--quiet",
            "--out", os.path.join(folder, "out")]


def kv_bench_run(port, folder, *arguments):
    """Runs it against a server; `last_result` and `headline` then have what it found."""
    return run([os.path.join(BUILD, "kv-bench"), "run", "--target", f"redis://127.0.0.1:{port}",
                "--quiet", "--out", os.path.join(folder, "out"), *arguments])


def preload(server, folder):
    """The same 100,000 keys for either generator."""
    run(redis_benchmark(server.port, 32, 64, "set", 1_200_000))
    run(kv_bench(server.port, 1, 1, 1, "get=100", 1000, folder) + ["--preload"])


def last_result(folder):
    with open(os.path.join(folder, "out", "result.json"), encoding="utf-8") as file:
        return json.load(file)


def trust(folder):
    verdict = last_result(folder)["trust"]
    return f"{verdict['verdict']}: {verdict['limited_by']}"


def headline(folder):
    result = last_result(folder)
    if result["headline"]["errors"]:
        fail(f"kv-bench met {result['headline']['errors']} errors")
    return result["headline"]
