"""Print every message of the package in a list: ``python -m tests.messages``.

Each line says where the message is raised or warned, by what, and its words; ``…``
stands for what is filled in. Those of the kernels are left out: the layers above them
check what users give.
"""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "fastmlp"
# Exceptions that say something to Python, not to a user.
SILENT = {"StopIteration", "NotImplementedError"}


def words_of(node):
    """The string that an expression makes, or None."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (words_of(part) or "…" for part in node.values)
        return re.sub("…+", "…", "".join(parts))
    return None


def calls_that_speak(tree):
    """The calls that make an error or a warning."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield node.exc
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("warn"):
            yield node


def assigned(tree, name):
    """What a variable of that name is set to, in words."""
    values = (
        words_of(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and any(ast.unparse(target) == name for target in node.targets)
    )
    return [words for words in values if words]


def messages_of(path):
    """(line, kind, words) of each message in a file; a raise without words has ""."""
    tree = ast.parse(path.read_text("utf-8"))
    for call in calls_that_speak(tree):
        kind = ast.unparse(call.func)
        if kind in SILENT:
            continue
        first = call.args[0] if call.args else None
        words = words_of(first)
        if words is not None and not re.search(r"\w", words):
            continue  # another's message, passed on
        if isinstance(first, ast.Name):  # `message = ...` before it
            for each in assigned(tree, first.id):
                yield call.lineno, kind, each
        else:
            yield call.lineno, kind, words or ""


def messages():
    """(place, kind, words) of each message, by file and line."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "_reference" in path.parts:  # the twins of the kernels
            continue
        for line, kind, words in sorted(messages_of(path)):
            place = f"{path.relative_to(PACKAGE.parent).as_posix()}:{line}"
            yield place, kind, words


def main():
    for place, kind, words in messages():
        print(f"{place}: {kind}: {words}")


if __name__ == "__main__":
    main()
