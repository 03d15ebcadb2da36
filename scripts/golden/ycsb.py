#!/usr/bin/env python3
"""Make kv-bench/tests/data/ycsb.tsv: keys as YCSB's skewed generators draw them.

    scripts/golden/ycsb.py > kv-bench/tests/data/ycsb.tsv

A second writing of the published formulas, independent of kv-bench's: J. Gray et al., "Quickly
generating billion-record synthetic databases" (SIGMOD 1994), figure 8, for `ycsb-zipfian`, and for
`ycsb-scrambled` the same over 10^10 + 1 ranks with YCSB's constant in the place of their sum, hashed
by 64-bit FNV-1a. Each line: law, number of keys, theta, the uniform draw in units of 2^-53, the key.
Floats are those of the C library's `pow`, which Rust calls too; a JVM's may differ in the last bit.
"""

import hashlib

ZETA_SCRAMBLED = 26.46902820178302
RANKS_SCRAMBLED = 10**10 + 1


def zeta(count, theta):
    total = 0.0
    for i in range(count):
        total += 1 / (i + 1) ** theta
    return total


def gray(count, theta, zeta_count, u):
    eta = (1 - (2 / count) ** (1 - theta)) / (1 - zeta(2, theta) / zeta_count)
    if u * zeta_count < 1:
        return 0
    if u * zeta_count < 1 + 0.5**theta:
        return 1
    return int(count * (eta * u - eta + 1) ** (1 / (1 - theta)))


def fnv1a(octets):
    value = 14695981039346656037
    for octet in octets:
        value = (value ^ octet) * 1099511628211 % 2**64
    return value


# As published: draft-eastlake-fnv, test vectors.
assert fnv1a(b"a") == 0xAF63DC4C8601EC8C and fnv1a(b"foobar") == 0x85944171F73967E8


def hashed(number):
    value = fnv1a(number.to_bytes(8, "little"))
    signed = value - 2**64 if value >= 2**63 else value
    return abs(signed)


def draws(name):
    yield from (0, 1, 2**53 // 2, 2**53 - 2**20)
    for n in range(200):
        yield int.from_bytes(hashlib.sha256(f"{name} {n}".encode()).digest()[:8], "little") >> 11


def main():
    print("law\tcount\ttheta\tdraw\tkey")
    for count in (3, 1000, 99_999, 1_000_000):
        for theta in (0.5, 0.99):
            whole = zeta(count, theta)
            for draw in draws(f"{count} {theta}"):
                key = gray(count, theta, whole, draw / 2**53)
                print(f"ycsb-zipfian\t{count}\t{theta}\t{draw}\t{key}")
    for count in (1, 1000, 99_999, 10**9, 2**40):
        for draw in draws(f"scrambled {count}"):
            rank = gray(RANKS_SCRAMBLED, 0.99, ZETA_SCRAMBLED, draw / 2**53)
            print(f"ycsb-scrambled\t{count}\t0.99\t{draw}\t{hashed(rank) % count}")


if __name__ == "__main__":
    main()
