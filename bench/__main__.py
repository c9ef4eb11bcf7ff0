"""The command line: ``python -m bench``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench.environment import FORCING_VARIABLES

RESULTS = Path(__file__).parent / "results"


def restart_unforced() -> None:
    """Start this command again if the environment forces a kind of OpenBLAS.

    OpenBLAS reads these variables when it is loaded. They would slow down every
    library that brings an OpenBLAS, so the comparison would not be with peers
    at their best.
    """
    if any(name in os.environ for name in FORCING_VARIABLES):
        kept = {k: v for k, v in os.environ.items() if k not in FORCING_VARIABLES}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], kept)


def add_measuring(commands, name: str, help_: str) -> argparse.ArgumentParser:
    """Add a command that measures, with the options all of them share."""
    command = commands.add_parser(name, help=help_)
    command.add_argument("--repeats", type=int, default=5, metavar="N")
    command.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help=f"where to write the result, e.g. bench/results/{name}.json",
    )
    return command


def add_sets(command) -> None:
    """Add the arguments that say which tables are taken."""
    command.add_argument(
        "--data", type=Path, default=Path("../shared/data/tabular"), metavar="FOLDER"
    )
    command.add_argument("--sets", nargs="+", metavar="NAME")


def add_tabular(commands) -> None:
    """Add the command that compares models of tables."""
    from bench.tabular import MODELS, N_FOLDS

    command = commands.add_parser("tabular", help="tables, out of the box")
    add_sets(command)
    command.add_argument("--models", nargs="+", choices=MODELS)
    command.add_argument(
        "--folds", type=int, choices=range(1, N_FOLDS + 1), default=N_FOLDS
    )
    command.add_argument("--json", type=Path, metavar="FILE")


def add_tabular_search(commands) -> None:
    """Add the command that tries changes of the tables' preset."""
    from bench.tabular_search import CHANGES

    command = commands.add_parser("tabular-search", help="changes of its preset")
    add_sets(command)
    command.add_argument("--changes", nargs="+", choices=CHANGES)
    command.add_argument("--rows", type=int, default=2000, metavar="N")
    command.add_argument("--seeds", type=int, default=3, metavar="N")
    command.add_argument("--json", type=Path, metavar="FILE")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    from bench.peers import PEERS
    from bench.shapes import GROUPS, SHAPES

    parser = argparse.ArgumentParser(prog="python -m bench")
    commands = parser.add_subparsers(dest="command", required=True)
    steps = add_measuring(commands, "steps", "training steps, against peers")
    steps.add_argument(
        "--shapes", nargs="+", choices=[*GROUPS, *SHAPES], default=["main"]
    )
    growth = add_measuring(commands, "growth", "steps by width, batch and depth")
    for command in steps, growth:
        command.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    fit = add_measuring(commands, "fit", "whole fits, against scikit-learn")
    sparse = add_measuring(commands, "sparse", "fits of sparse rows, likewise")
    images = add_measuring(commands, "images", "steps on images, against PyTorch")
    for command in steps, growth, fit, sparse, images:
        command.add_argument(
            "--threads",
            nargs="+",
            type=int,
            metavar="N",
            help="thread counts to try; by default 1 and every CPU",
        )
    add_measuring(commands, "kernels", "native kernels, against NumPy")
    add_measuring(commands, "calls", "what a call costs around the engine")
    add_measuring(commands, "lm", "Levenberg–Marquardt on small regressions")
    add_measuring(commands, "members", "fits of tables, member by member")
    add_measuring(commands, "memory", "the memory that a fit needs")
    add_measuring(commands, "crowd", "threads beside busy processes")
    add_measuring(commands, "stream", "rows that are read block by block")
    add_measuring(commands, "dask", "steps on a cluster of one worker and of two")
    add_tabular(commands)
    add_tabular_search(commands)
    table = commands.add_parser("table", help="write the README's table")
    table.add_argument("--check", action="store_true", help="only compare")
    commands.add_parser("picture", help="draw docs/growth.png")
    return parser.parse_args()


def main() -> int:
    """Run the command; return its exit status."""
    restart_unforced()
    options = parse_arguments()
    if options.command == "table":
        from bench import table

        return table.run(Path("README.md"), RESULTS, check=options.check)
    if options.command == "picture":
        from bench import picture

        return picture.run(RESULTS / "growth.json", Path("docs/growth.png"))
    if options.command == "tabular":
        from bench import tabular

        return tabular.run(
            *(options.data, options.sets, options.models, options.folds, options.json)
        )
    if options.command == "tabular-search":
        from bench import tabular_search

        return tabular_search.run(
            *(options.data, options.sets, options.changes),
            *(options.rows, options.seeds, options.json),
        )
    if options.repeats < 5:
        print("note: fewer than 5 repeats are for trying out", file=sys.stderr)
    if options.command == "kernels":
        from bench import kernels

        return kernels.run(options.repeats, options.json)
    if options.command == "calls":
        from bench import calls

        return calls.run(options.repeats, options.json)
    if options.command == "lm":
        from bench import lm

        return lm.run(options.repeats, options.json)
    if options.command == "members":
        from bench import members

        return members.run(options.repeats, options.json)
    if options.command == "memory":
        from bench import memory

        return memory.run(options.repeats, options.json)
    if options.command == "crowd":
        from bench import crowd

        return crowd.run(options.repeats, options.json)
    if options.command == "stream":
        from bench import stream

        return stream.run(options.repeats, options.json)
    if options.command == "dask":
        from bench import dask

        return dask.run(options.repeats, options.json)
    if options.command == "fit":
        from bench import fit

        return fit.run(options.threads, options.repeats, options.json)
    if options.command == "sparse":
        from bench import sparse

        return sparse.run(options.threads, options.repeats, options.json)
    if options.command == "images":
        from bench import images

        return images.run(options.threads, options.repeats, options.json)
    if options.command == "growth":
        from bench import growth

        return growth.run(options.peers, options.threads, options.repeats, options.json)
    from bench import steps

    return steps.run(
        options.shapes, options.peers, options.threads, options.repeats, options.json
    )


if __name__ == "__main__":
    sys.exit(main())
