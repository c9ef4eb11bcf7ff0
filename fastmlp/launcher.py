"""Run a script or a module as ``python`` would, on fastmlp's estimators.

Imports little: what a program finds imported already it may not expect.
"""

from __future__ import annotations

import builtins
import importlib.util
import os
import pkgutil
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import NamedTuple

from fastmlp.patching import patch_sklearn


class Target(NamedTuple):
    """What is to be run, with its arguments."""

    name: str
    is_module: bool
    arguments: list[str]

    @classmethod
    def from_arguments(cls, arguments: list[str]) -> Target | None:
        """From ``script.py …`` or ``-m module …``; None if it is neither."""
        is_module = arguments[:1] == ["-m"]
        name, *rest = arguments[is_module:] or [""]
        if not name or (name.startswith("-") and not is_module):
            return None
        return cls(name, is_module, rest)


def run(target: Target, *, summary: bool = False) -> None:
    """Run it as ``__main__``; exceptions leave it as they are.

    Parameters
    ----------
    target : Target
        The program.
    summary : bool, default=False
        Whether to print at the end which fits ran where, to stderr.
    """
    # First, as python says that there is no such program before anything else happens.
    main, code = load_module(target) if target.is_module else load_script(target)
    path = main.__file__ if target.is_module else target.name
    sys.argv[:] = [str(path), *target.arguments]
    sys.modules["__main__"] = main
    patch_sklearn()
    if summary:
        print_summary_at_exit()
    try:
        exec(code, main.__dict__)
    except BaseException:
        # python runs modules, but no scripts, by runpy, and shows its frames.
        hide_launcher(keep_runpy=main.__spec__ is not None)
        raise


def load_script(target: Target) -> tuple[ModuleType, CodeType]:
    """A file, or a folder or an archive that holds a ``__main__.py``."""
    path = os.path.abspath(target.name)
    finder = pkgutil.get_importer(path)
    spec = finder.find_spec("__main__") if finder is not None else None
    if spec is not None:
        put_first(path)
        return load_spec(spec)
    loader = SourceFileLoader("__main__", path)
    try:
        source = loader.get_data(path)
    except OSError as error:
        message = f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}"
        print(f"{sys.orig_argv[0]}: {message}", file=sys.stderr)
        sys.exit(2)
    put_first(os.path.dirname(os.path.realpath(path)))
    module = new_main(path, loader)
    return module, compile_hidden(source, path)


def load_module(target: Target) -> tuple[ModuleType, CodeType]:
    """A module by its name, or a package's ``__main__``."""
    name = target.name
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            name = f"{name}.__main__"
            spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        spec = None
    if spec is None:
        sys.exit(f"{sys.executable}: No module named {name}")
    return load_spec(spec)


def load_spec(spec: ModuleSpec) -> tuple[ModuleType, CodeType]:
    """A module that is found, as ``__main__``."""
    code = spec.loader.get_code(spec.name)  # type: ignore[union-attr]
    if code is None:
        sys.exit(f"{sys.executable}: No code object available for {spec.name}")
    module = new_main(spec.origin or "", spec.loader)
    module.__spec__, module.__package__ = spec, spec.parent
    module.__cached__ = spec.cached  # type: ignore[attr-defined]
    return module, code


def new_main(path: str, loader: object) -> ModuleType:
    """A ``__main__`` with nothing in it but what python puts there."""
    module = ModuleType("__main__")
    module.__dict__.update(
        __file__=path, __cached__=None, __loader__=loader, __builtins__=builtins
    )
    if "__annotations__" in vars(sys.modules["__main__"]):  # up to CPython 3.13
        module.__annotations__ = {}
    return module


def put_first(folder: str) -> None:
    """Import from there first, in place of the working directory."""
    if not sys.flags.safe_path:
        sys.path[0] = folder


def compile_hidden(source: bytes, path: str) -> CodeType:
    """Compile, without our own frames in the traceback of a SyntaxError."""
    try:
        return compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        hide_launcher()
        raise


def hide_launcher(*, keep_runpy: bool = False) -> None:
    """Leave our own frames out of the traceback that is about to be printed."""
    hook = sys.excepthook

    def print_without_launcher(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        rest = trace
        while rest is not None and (is_runpy(rest) or is_ours(rest)):
            rest = rest.tb_next
        if keep_runpy and trace is not None:
            last = trace
            while last.tb_next is not None and is_runpy(last.tb_next):
                last = last.tb_next
            last.tb_next = rest
        else:
            trace = rest
        error.__traceback__ = trace
        hook(kind, error, trace)

    sys.excepthook = print_without_launcher


def is_runpy(trace: TracebackType) -> bool:
    """Whether the frame is of the library's module that runs modules."""
    return trace.tb_frame.f_code.co_filename == "<frozen runpy>"


def is_ours(trace: TracebackType) -> bool:
    """Whether the frame is of this package's launcher."""
    folder = os.path.dirname(trace.tb_frame.f_code.co_filename)
    return folder == os.path.dirname(__file__)


def print_summary_at_exit() -> None:
    """At the very end, say which fits ran where."""
    import atexit

    def print_summary() -> None:
        substitutes = sys.modules.get("fastmlp.estimators._substitutes")
        summary = substitutes.summarize() if substitutes else "no fit"
        print(f"fastmlp: {summary}", file=sys.stderr)

    atexit.register(print_summary)
