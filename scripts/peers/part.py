"""A part of the comparison: what it needs, and how it measures, shows and judges."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    name: str
    needs: tuple[str, ...]
    """Programs of peers that must be there."""
    measure: Callable[[int, str], list[dict]]
    """From the number of rounds and an empty folder to rows."""
    lines: Callable[[list[dict]], list[str]]
    """Rows as Markdown."""
    misses: Callable[[list[dict]], list[str]]
    """What was not kept, in words."""


def table(title, columns, rows):
    """A Markdown table: a column is its head and whether it is a number's."""
    return [f"## {title}", "",
            "| " + " | ".join(head for head, _ in columns) + " |",
            "|" + "|".join("--:" if number else "---" for _, number in columns) + "|",
            *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows), ""]


def verdicts(rows):
    """What kv-bench itself said of the runs behind these rows."""
    return ", ".join(sorted({row["trust"] for row in rows if "trust" in row}))
