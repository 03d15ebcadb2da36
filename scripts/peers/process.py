"""Processes of a comparison: servers on free ports, and commands with what they cost."""

import os
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "target", "release")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def fail(reason):
    print(f"error: {reason}", file=sys.stderr)
    sys.exit(2)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server on a free port, stopped when the block ends."""

    def __init__(self, name, command, folder):
        self.name = name
        self.port = free_port()
        command = [part.format(port=self.port, folder=folder) for part in command]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.05)
        self.stop()
        fail(f"{name} did not start")

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def stop(self):
        self.process.terminate()
        self.process.wait()


def start_redis(folder, appendfsync=None, options=()):
    kept = ["--appendonly", "yes", "--appendfsync", appendfsync] if appendfsync else []
    name = f"redis-server appendfsync {appendfsync}" if appendfsync else "redis-server"
    return Server(name, ["redis-server", "--port", "{port}", "--bind", "127.0.0.1", "--save", "",
                         *(kept or ["--appendonly", "no"]), "--dir", "{folder}", *options], folder)


def start_kv(folder, durability=None):
    kept = ["--durability", durability] if durability else []
    if durability not in (None, "none"):
        kept += ["--data-dir", "{folder}/" + durability]
    name = f"kv-server {durability}" if durability else "kv-server"
    return Server(name, [os.path.join(BUILD, "kv-server"), "--port", "{port}", "--loglevel",
                         "error", *kept], folder)


def start_memcached(folder):
    # Without -u it refuses to run as root; anybody else may not change who they are, and it does not.
    return Server("memcached", ["memcached", "-u", "root", "-l", "127.0.0.1", "-p", "{port}"], folder)


def run(command):
    """Runs a command to its end; returns its output and the CPU time that it used."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        fail(f"{' '.join(command)} failed:\n{output}")
    return output, usage.ru_utime + usage.ru_stime


def launch(command):
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def connect(process, port):
    for _ in range(10_000):
        if process.poll() is not None:
            fail(f"{process.args[0]} ended with exit code {process.returncode}")
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except ConnectionRefusedError:
            time.sleep(0.002)
    return fail(f"{process.args[0]} did not start")


def ask(connection, request, expected):
    """Sends a request until the server has loaded what it had."""
    for _ in range(10_000):
        connection.sendall(request + b"\r\n")
        reply = connection.recv(256)
        if not reply.startswith(b"-LOADING"):
            break
        time.sleep(0.002)
    if not reply.startswith(expected):
        fail(f"{request.decode()} was answered with {reply!r}")


def tree_memory_bytes(root):
    """Resident memory of a process and its descendants; what they share counts once each."""
    parents, resident = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                    fields = stat.read().rsplit(")", 1)[1].split()
                parents[int(entry)] = int(fields[1])
                resident[int(entry)] = int(fields[21]) * PAGE_BYTES
            except (OSError, IndexError):
                pass  # it ended while we looked
    family = {root}
    while True:
        grown = family | {pid for pid, parent in parents.items() if parent in family}
        if grown == family:
            return sum(resident.get(pid, 0) for pid in family)
        family = grown
