#!/usr/bin/env python3
"""Make the golden vectors of kv-core/tests/data: where other people's programs place keys.

    scripts/golden/rings.py slots      > kv-core/tests/data/slots.tsv       needs redis-server, redis-cli
    scripts/golden/rings.py ketama     > kv-core/tests/data/ketama.tsv      needs nutcracker (twemproxy)
    scripts/golden/rings.py uhashring  > kv-core/tests/data/uhashring.tsv   needs the PyPI package uhashring

Each file: a header line `key` and one comma-separated list of server names per column; then one line
per key: the key in hex, and the index of its server in each list. slots.tsv has the column `slot`
first, which is what redis answered; its other columns come from `deal` below, a second writing of
the rule in kv-core/src/ring/slots.rs, since no other program deals slots that way.
"""

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

NAME_SETS = [
    [f"server_{n}" for n in range(1, 3)],
    [f"server_{n}" for n in range(1, 5)],
    [f"127.0.0.1:{port}" for port in range(8001, 8006)],
    ["cache-a", "cache-b", "größe", "10.0.0.9:11211", "d_e", "Z", "cache-aa"],
    [f"server_{n}" for n in range(1, 26)],  # twemproxy gives 156 points each at 25, not 160
]


def keys():
    tags = [
        "{user1000}.following", "{user1000}.followers", "foo{}{bar}", "foo{{bar}}zap", "foo{bar}{zap}",
        "{}", "{}x", "x{}", "{", "}", "}{", "a{b", "a}b{c}", "{a", "a}", "{{}}", "{a}{b}", "foo",
        "123456789", "a b", "größe", "鍵", "\r\n", "\n", "\0", "0", "key1", "x" * 1000, "{" + "t" * 300 + "}x",
    ]
    yield from (tag.encode() for tag in tags)
    # The ketama hash of each of these is itself a point of the ring.
    yield from (b"server_1-0", b"server_2-7", b"server_4-38", b"127.0.0.1:8002-12", b"cache-a-1", b"server_25-38")
    yield bytes(range(256))
    yield b"\xff\xfe"
    yield from (f"key:{n:012d}".encode() for n in range(150))
    yield from (hashlib.sha256(str(n).encode()).digest()[: n % 24 + 1] for n in range(120))


def table(columns, names=()):
    """Prints one row per key; `columns` maps a column to its list of answers."""
    print("\t".join(["key", *names, *(",".join(name_set) for name_set in NAME_SETS)]))
    for key, *answers in zip(keys(), *columns):
        print("\t".join([key.hex(), *map(str, answers)]))


def bulk(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def connect(port):
    deadline = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


# --- slots ---------------------------------------------------------------------------------------

MASK = (1 << 64) - 1


def splitmix64(state):
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & MASK
    return state ^ (state >> 31)


def deal(names, slots=16384):
    owner, count = [0] * slots, [slots]
    for new, name in enumerate(names[1:], 1):
        seed = int.from_bytes(hashlib.md5(name.encode()).digest()[:8], "little")
        weight = [splitmix64(seed + (slot + 1) * 0x9E3779B97F4A7C15 & MASK) for slot in range(slots)]
        floor, above = divmod(slots, new + 1)
        below = new - above - sum(held == floor for held in count)  # how many may still sink to the floor
        count.append(0)
        for slot in sorted(range(slots), key=lambda slot: (-(weight[slot] >> 14), slot)):
            held = count[owner[slot]]
            if owner[slot] == new or held <= floor or (held == floor + 1 and below == 0):
                continue
            below -= held == floor + 1
            count[owner[slot]] -= 1
            count[new] += 1
            owner[slot] = new
        assert count[new] == floor and max(count) - min(count) <= 1
    return owner


def slots():
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            ["redis-server", "--port", str(port), "--cluster-enabled", "yes", "--dir", folder, "--save", "",
             "--cluster-port", str(free_port())], stdout=subprocess.DEVNULL)
        try:
            with connect(port) as client, client.makefile("rb") as replies:
                answers = []
                for key in keys():
                    client.sendall(bulk(b"CLUSTER", b"KEYSLOT", key))
                    answers.append(int(replies.readline()[1:]))
        finally:
            server.terminate()
            server.wait()
    dealt = [deal(names) for names in NAME_SETS]
    table([answers, *([owner[slot] for slot in answers] for owner in dealt)], names=["slot"])


# --- ketama --------------------------------------------------------------------------------------


def backend(listener, index):
    """A server that answers every GET with its own index: so twemproxy itself says where a key goes."""
    def serve(client):
        with client, client.makefile("rb") as requests:
            while header := requests.readline():
                for _ in range(int(header[1:])):
                    requests.read(int(requests.readline()[1:]) + 2)
                client.sendall(b"$%d\r\n%d\r\n" % (len(str(index)), index))
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(client,), daemon=True).start()


def twemproxy(names):
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    for index, listener in enumerate(listeners):
        threading.Thread(target=backend, args=(listener, index), daemon=True).start()
    port = free_port()
    servers = "".join(
        f'   - "127.0.0.1:{listener.getsockname()[1]}:1 {name}"\n' for listener, name in zip(listeners, names))
    with tempfile.TemporaryDirectory() as folder:
        conf = os.path.join(folder, "nutcracker.yml")
        with open(conf, "w", encoding="utf-8") as out:
            out.write(f"pool:\n  listen: 127.0.0.1:{port}\n  hash: md5\n  distribution: ketama\n  redis: true\n"
                      f"  servers:\n{servers}")
        proxy = subprocess.Popen(
            ["nutcracker", "-c", conf, "-o", os.path.join(folder, "log"), "-p", os.path.join(folder, "pid"),
             "-s", str(free_port()), "-a", "127.0.0.1"])
        try:
            with connect(port) as client, client.makefile("rb") as replies:
                answers = []
                for key in keys():
                    client.sendall(bulk(b"GET", key))
                    size = replies.readline()
                    assert size.startswith(b"$"), (key, size)
                    answers.append(int(replies.readline()))
                return answers
        finally:
            proxy.terminate()
            proxy.wait()
            for listener in listeners:
                listener.close()


def ketama():
    table([twemproxy(names) for names in NAME_SETS])


# --- uhashring -----------------------------------------------------------------------------------


def uhashring():
    from uhashring import HashRing

    def place(names):
        ring = HashRing(nodes=names, vnodes=10)
        return [names.index(ring.get_node(hashlib.sha256(key).hexdigest())) for key in keys()]

    table([place(names) for names in NAME_SETS])


if __name__ == "__main__":
    {"slots": slots, "ketama": ketama, "uhashring": uhashring}[sys.argv[1]]()
