"""What the commands of ``python -m fastmlp`` share: how they fail, where they write."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable


def reporting(
    name: str, run: Callable[[argparse.Namespace], None], options: argparse.Namespace
) -> int:
    """Run a command; its exit status. An error of the user's is one line on stderr."""
    try:
        run(options)
    except KeyboardInterrupt:
        print(f"fastmlp {name}: interrupted", file=sys.stderr)
        return 130
    except (OSError, ValueError, TypeError, ImportError) as error:
        line = " ".join(str(error).split()) or type(error).__name__
        print(f"fastmlp {name}: {line}", file=sys.stderr)
        return 2
    return 0


def check_place(path: str, *others: str) -> None:
    """Refuse now what could not be written after the work, or over these files."""
    for other in others:
        if os.path.realpath(path) == os.path.realpath(other):
            raise ValueError(f"{path} cannot be written: it is a file of this command")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise ValueError(f"{path} cannot be written: {folder} is not a folder")
    if os.path.isdir(path):
        raise ValueError(f"{path} cannot be written: it is a folder")
    if not os.access(folder, os.W_OK):
        raise ValueError(f"{path} cannot be written: {folder} is write-protected")
