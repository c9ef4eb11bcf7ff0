"""What is measured, held against what was promised."""

from __future__ import annotations

from bench.report import print_table

VERDICTS = {True: "passed", False: "FAILED", None: "-"}


def inform(name: str, unit: str, measured: float) -> dict:
    """Return a row that nothing was promised of."""
    row = {"name": name, "unit": unit, "measured": round(measured, 4)}
    return row | {"bar": None, "passed": None}


def at_most(name: str, unit: str, measured: float, bar: float) -> dict:
    """Return a row whose figure is to be no larger than the bar."""
    passed = {"bar": round(bar, 4), "passed": bool(measured <= bar)}
    return inform(name, unit, measured) | passed


def at_least(name: str, unit: str, measured: float, bar: float) -> dict:
    """Return a row whose figure is to be no smaller than the bar."""
    passed = {"bar": round(bar, 4), "passed": bool(measured >= bar)}
    return inform(name, unit, measured) | passed


def format_figure(value: float | None) -> str:
    """Return a number with four digits: verdicts are close at times."""
    return "-" if value is None else f"{value:.4g}"


def print_bars(rows: list[dict]) -> None:
    """Print each row with its verdict."""
    print_table(
        ["what", "unit", "measured", "bar", ""],
        (
            [
                *(row["name"], row["unit"], format_figure(row["measured"])),
                *(format_figure(row["bar"]), VERDICTS[row["passed"]]),
            ]
            for row in rows
        ),
    )
