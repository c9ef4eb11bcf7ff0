"""Libraries that only some functions need: found when such a function is called."""

from importlib import import_module
from types import ModuleType


def require(library: str, extra: str, caller: str) -> ModuleType:
    """The library's module.

    Raises
    ------
    ImportError
        If it is not installed; the message names the extra that brings it.
    """
    try:
        return import_module(library)
    except ImportError as error:
        raise ImportError(
            f"{caller} needs {library.partition('.')[0]}, which cannot be imported "
            f"({error}). Install it with: pip install 'fastmlp[{extra}]'"
        ) from error
