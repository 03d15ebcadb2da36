"""Rounds: each side measured once in each of them, in alternating order."""

import statistics
import sys


def alternate(rounds, sides, measure):
    """Measures each side once per round, the first one first in every other round."""
    values = {side: [] for side in sides}
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            values[side].append(measure(side))
    return values


def ratio(values, ours, theirs, key):
    return statistics.median(our[key] / their[key]
                             for our, their in zip(values[ours], values[theirs]))


def median(values, side, key):
    return statistics.median(value[key] for value in values[side])


def progress(row):
    shown = {key: round(value, 3) for key, value in row.items() if isinstance(value, float)}
    print(f"{row['case']}: {shown}", file=sys.stderr, flush=True)
