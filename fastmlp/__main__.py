"""``python -m fastmlp``: a command of this table, or a script to run on fastmlp.

A command is a row: its name, and the function that takes the arguments after it.
"""

import sys
from collections.abc import Callable
from importlib import import_module

# Where each command is, and what it does.
COMMANDS = {
    "info": ("fastmlp.diagnostics:print_info", "what a bug report needs"),
    "export": ("fastmlp.export.command_line:export", "a model file as ONNX or C"),
    "train": ("fastmlp.tabular.command_line:train", "fit a model to a table in a file"),
    "predict": ("fastmlp.tabular.command_line:predict", "predict by it, into a file"),
    "inspect": ("fastmlp.tabular.command_line:inspect", "what a model file holds"),
}

USAGE = """\
usage: python -m fastmlp [--summary] script.py [arguments]
       python -m fastmlp [--summary] -m module [arguments]
       python -m fastmlp COMMAND [arguments]

A script or a module is run as python would, with fastmlp's estimators in the place of
scikit-learn's MLPClassifier and MLPRegressor. --summary tells at the end which fits ran
where, and how long; FASTMLP_LOG=info logs why one did not run on fastmlp.

commands:
"""


def usage() -> str:
    """How it is called, with a line for each command."""
    rows = (f"  {name:<10}{what}\n" for name, (_, what) in COMMANDS.items())
    return USAGE + "".join(rows)


def find_command(name: str) -> Callable[[list[str]], object]:
    """The function of that command."""
    module, _, function = COMMANDS[name][0].partition(":")
    return getattr(import_module(module), function)


def main(arguments: list[str]) -> object:
    """Do what the arguments say; what it returns is the exit status."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(usage(), end="")
        return 0
    if arguments and arguments[0] in COMMANDS:
        return find_command(arguments[0])(arguments[1:])
    from fastmlp.launcher import Target, run

    summary = arguments[:1] == ["--summary"]
    target = Target.from_arguments(arguments[summary:])
    if target is None:
        print(usage(), end="", file=sys.stderr)
        return 2
    run(target, summary=summary)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))  # type: ignore[arg-type]
