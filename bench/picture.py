"""``bench picture``: docs/growth.png, from the committed results."""

from __future__ import annotations

import json
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from bench.peers import PEERS

# Colours that stay apart for every kind of sight, and a marker for print.
STYLES = {
    "fastmlp": ("#0072b2", "o"),
    "sklearn": ("#d55e00", "s"),
    "torch": ("#009e73", "^"),
    "jax": ("#cc79a7", "D"),
}
GRAY, LIGHT_GRAY = "#555555", "#dddddd"
FONTS = {"title": 12, "label": 10.5, "small": 9.5}


def format_time(us: float, _position: int = 0) -> str:
    """Return a time with the unit that makes it a small number."""
    for unit, name in ((1e6, "s"), (1e3, "ms")):
        if us >= unit:
            return f"{us / unit:g} {name}"
    return f"{us:g} µs"


def choose_ticks(lowest: float, highest: float) -> LogLocator:
    """Return ticks at powers of ten, and between them where there are few."""
    return LogLocator(subs=(1, 2, 5) if highest < 100 * lowest else (1,))


def prepare_axes(axes, title: str, details: str, x_label: str, y_label: str) -> None:
    """Set what all panels have in common."""
    axes.set_title(title, loc="left", fontsize=FONTS["title"], fontweight="bold")
    axes.set_title(details, loc="right", fontsize=FONTS["small"], color=GRAY)
    axes.set_xlabel(x_label, fontsize=FONTS["label"])
    axes.set_ylabel(y_label, fontsize=FONTS["label"])
    axes.tick_params(labelsize=FONTS["small"], color=GRAY)
    axes.grid(color=LIGHT_GRAY, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRAY)


def rows_of(sweep: dict, peer: str) -> list[dict]:
    """Return a peer's rows of a sweep."""
    return [row for row in sweep["rows"] if row["peer"] == peer]


def draw_sweep(axes, sweep: dict) -> None:
    """Draw the time of a step by size, medians in a band from least to most."""
    title = f"By {sweep['name']}"
    prepare_axes(axes, title, sweep["network"], sweep["axis"], "time of a step")
    sizes = [int(size) for size in sweep["bound_us"]]
    axes.loglog(sizes, [*sweep["bound_us"].values()], "--", color=GRAY, label="bound")
    for peer, (color, marker) in STYLES.items():
        rows = rows_of(sweep, peer)
        x = [row["size"] for row in rows]
        low, middle, high = (
            [row["us"][key] for row in rows] for key in ("min", "median", "max")
        )
        axes.fill_between(x, low, high, color=color, alpha=0.25, linewidth=0)
        axes.loglog(
            *(x, middle),
            color=color,
            marker=marker,
            markersize=5.5,
            linewidth=2.6 if peer == "fastmlp" else 1.6,
            zorder=4 if peer == "fastmlp" else 3,
            label=PEERS[peer],
        )
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:.0f}"))
    axes.yaxis.set_major_locator(choose_ticks(*axes.get_ylim()))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(format_time))


def draw_threads(axes, sweeps: list[dict]) -> None:
    """Draw what the most threads gain over one, by the work of a step."""
    rows = [row for sweep in sweeps for row in sweep["rows"]]
    most = max(int(n) for row in rows for n in row["median_us_by_threads"])
    prepare_axes(
        axes,
        "By threads",
        "all of these networks",
        "operations of a step",
        f"time with 1 thread ÷ with {most}",
    )
    axes.axhline(most, linestyle="--", color=GRAY)
    for peer, (color, marker) in STYLES.items():
        points = [
            (sweep["flops"][str(row["size"])], by_threads["1"] / by_threads[str(most)])
            for sweep in sweeps
            for row in rows_of(sweep, peer)
            if {"1", str(most)} <= (by_threads := row["median_us_by_threads"]).keys()
        ]
        axes.semilogx(
            [flops for flops, _ in points],
            [speed_up for _, speed_up in points],
            marker,
            color=color,
            markersize=6.5,
            markeredgecolor="white",
            zorder=4 if peer == "fastmlp" else 3,
        )
    axes.set_ylim(0, 1.15 * most)
    axes.xaxis.set_minor_locator(NullLocator())


def describe(results: dict) -> str:
    """Return what was measured, and on what."""
    environment = results["environment"]
    return (
        "Time of a training step (relu, softmax, float32, Adam), each library at its "
        f"best number of threads; medians of {results['repeats']}, least to most as a "
        f"band.\n{environment['cpu']}, {environment['cpus']} CPUs. The bound: the "
        "matrix products at the rate of multiply-adds, then Adam's state at its "
        "bandwidth, on all CPUs."
    )


def run(path: Path, picture: Path) -> int:
    """Draw a growth's results into a picture; return the exit status."""
    results = json.loads(path.read_text(encoding="utf-8"))
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12, wspace=0.04, hspace=0.04)
    figure = Figure(figsize=(11, 9.2), layout=layout)
    panels = figure.subplots(2, 2).ravel()
    for axes, sweep in zip(panels, results["sweeps"], strict=False):
        draw_sweep(axes, sweep)
    draw_threads(panels[-1], results["sweeps"])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        *(handles, labels),
        loc="outside upper center",
        ncols=len(labels),
        frameon=False,
        fontsize=FONTS["label"],
    )
    figure.supxlabel(describe(results), fontsize=FONTS["small"], color=GRAY)
    figure.savefig(picture, dpi=130)
    print(f"wrote {picture}")
    return 0
