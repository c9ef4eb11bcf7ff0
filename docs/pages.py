"""What the site makes from its sources: drawings, and the tables of bench/results."""

import json
from pathlib import Path

import pictures

from bench.report import format_cell
from bench.table import fit_table, markdown_row, steps_table

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"


def load(name):
    """One file of bench/results."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def figures_table(results, title):
    """Rows of name, figure and unit; what is part of the row above is indented."""
    lines = [markdown_row([title, "", ""]), markdown_row(["---", "---:", "---"])]
    for row in results["rows"]:
        name = row["name"].strip()
        depth = (len(row["name"]) - len(row["name"].lstrip())) // 2
        indent = "&emsp;" * depth  # Markdown strips spaces
        figure = format_cell(float(row["measured"]))
        lines.append(markdown_row([indent + name, figure, row["unit"]]))
    return lines


def sparse_table(results):
    """Seconds and memory of each library."""
    lines = [
        markdown_row(["library", "seconds", "MiB at the most", "times as long"]),
        markdown_row(["---", "---:", "---:", "---:"]),
    ]
    for row in results["rows"]:
        figures = (row["seconds"]["median"], row["peak_mib"], row["ratio"])
        cells = [format_cell(float(figure)) for figure in figures]
        lines.append(markdown_row([row["peer"], *cells]))
    return lines


def describe(results):
    """The machine and the versions of a result."""
    environment = results["environment"]
    versions = ", ".join(f"{k} {v}" for k, v in results["versions"].items())
    machine = f"{environment['cpu']}, {environment['cpus']} CPUs"
    return f"Medians of {results['repeats']}. {machine}; {versions}."


def cost_tables():
    """The tables of the page on costs, by the name of the file that it includes."""
    builders = {
        "steps": steps_table,
        "others": steps_table,
        "fit": fit_table,
        "calls": lambda results: figures_table(results, "call"),
        "memory": lambda results: figures_table(results, "the most memory of a fit"),
        "crowd": lambda results: figures_table(results, "beside busy processes"),
        "sparse": sparse_table,
    }
    for name, build in builders.items():
        results = load(name)
        yield name, "\n".join(build(results)) + f"\n\n{describe(results)}\n"


def write(path, text):
    """Only where it has changed: Sphinx then need not read the page again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def make(folder):
    """Fill the folder."""
    folder.mkdir(exist_ok=True)
    for name, text in cost_tables():
        write(folder / f"{name}.md", text)
    pictures.draw_all(folder)
