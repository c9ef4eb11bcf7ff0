"""``bench table``: the README's speed table, from the committed results."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

from bench.fit import CASES, DTYPES, PAIR
from bench.peers import PEERS
from bench.report import format_cell

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def markdown_row(cells) -> str:
    """Return a line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def steps_table(steps: dict) -> list[str]:
    """Return the table of training steps, one line a shape."""
    rows = {(row["shape"], row["peer"]): row for row in steps["rows"]}
    measured = {peer for _, peer in rows}
    others = [peer for peer in PEERS if peer in measured - {"fastmlp"}]
    lines = [
        markdown_row(["network", "fastmlp", *(PEERS[peer] for peer in others)]),
        markdown_row(["---", *("---:" for _ in [*others, "fastmlp"])]),
    ]
    for (shape, peer), own in rows.items():
        if peer == "fastmlp":
            ratios = [rows.get((shape, other), {}).get("ratio") for other in others]
            cells = [f"{format_cell(r)} ×" if r else "-" for r in ratios]
            time = f"{format_cell(own['us']['median'])} µs"
            lines.append(markdown_row([f"{shape}: {own['network']}", time, *cells]))
    return lines


def fit_table(fit: dict) -> list[str]:
    """Return the table of whole fits, one line a case."""
    rows = {(row["case"], row["dtype"], row["peer"]): row for row in fit["rows"]}
    titles = [cell for dtype in DTYPES for cell in (dtype, PEERS["sklearn"])]
    lines = [
        markdown_row(["whole fit", *titles]),
        markdown_row(["---", *("---:" for _ in titles)]),
    ]
    for case in dict.fromkeys(case for case, _, _ in rows):
        cells = [CASES[case].title]
        for dtype in DTYPES:
            own, other = (rows[case, dtype, peer] for peer in PAIR)
            cells.append(f"{format_cell(own['ms']['median'])} ms")
            cells.append(f"{format_cell(other['ratio'])} ×")
        lines.append(markdown_row(cells))
    return lines


def describe_conditions(steps: dict) -> str:
    """Return what the table was measured on."""
    environment, versions = steps["environment"], steps["versions"]
    listed = ", ".join(
        f"{name} {version}"
        for name, version in versions.items()
        if name not in ("fastmlp isa", "jaxlib")
    )
    return (
        f"Time of a training step (float32, Adam), and how many times as long the "
        f"others take, each at its best number of threads; medians of "
        f"{steps['repeats']}. {environment['cpu']}, {environment['cpus']} CPUs, "
        f"{versions.get('fastmlp isa', 'no')} kernels; Python "
        f"{environment['python']}, {listed}."
    )


def render(results: Path) -> str:
    """Return what stands between the markers."""
    steps = json.loads((results / "steps.json").read_text(encoding="utf-8"))
    return "\n".join(steps_table(steps)) + f"\n\n{describe_conditions(steps)}"


def run(readme: Path, results: Path, check: bool) -> int:
    """Write the table into the README, or only check it.

    Parameters
    ----------
    readme : Path
        A file with the two markers.
    results : Path
        The folder of `steps.json`.
    check : bool
        Whether to compare instead of writing.

    Returns
    -------
    int
        Exit status: 1 if the README was checked and is out of step.

    Raises
    ------
    ValueError
        If the markers are missing.
    """
    old = readme.read_text(encoding="utf-8")
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{readme} lacks the markers {BEGIN} and {END}")
    new = f"{before}{BEGIN}\n\n{render(results)}\n\n{END}{after}"
    if not check:
        readme.write_text(new, encoding="utf-8")
        return 0
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    for line in lines:
        print(line)
    return int(new != old)
