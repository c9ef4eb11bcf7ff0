"""Model files: arrays and JSON in the format of safetensors, checked as a whole.

A file holds no code, no pickle and no path. Its last 32 bytes are the SHA-256 of all
bytes before them, in a tensor of its own, so that any reader of safetensors can open
it. Nothing is parsed before they agree, and nothing is built before sizes, types and
values have been checked: the digest finds damage, not malice.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from fastmlp._extras import require
from fastmlp._version import __version__
from fastmlp.random_streams import stream_from

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FORMAT = 1
# The one tensor behind all others: of one byte a number, and the last by its name.
_DIGEST = "~sha256"
_DIGEST_BYTES = hashlib.sha256().digest_size
# What JSON holds instead of safetensors: strings, and numbers of a byte each.
_AS_LIST = "USOb"
_LARGEST_INTEGER = 2**63 - 1


class ModelFileError(ValueError):
    """A model file that cannot be read, or a model that none can hold."""


def load(path: str | os.PathLike[str]) -> Any:
    """The model in a file that ``save`` has written.

    Needs the extra ``safetensors``. Nothing of the file is executed. The whole file is
    compared to its SHA-256, which finds damage; whoever wants to know who has written
    it needs a signature.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    One of fastmlp's estimators, or a Network

    Raises
    ------
    ModelFileError
        If the file is damaged, no model file, of a later format, or its parts do not
        fit together.
    OSError
        If it cannot be read.
    """
    with naming_file(path):
        return build_model(*from_bytes(Path(path).read_bytes()))


def build_model(kind: str, facts: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The model of what :func:`from_bytes` has returned."""
    if kind == "Network":
        from fastmlp.state_check import checked_network

        return checked_network(facts, arrays)
    if kind in ("MLPClassifier", "MLPRegressor", "CNNClassifier", "CNNRegressor"):
        from fastmlp.estimators._model_file import build_estimator

        return build_estimator(kind, facts, arrays)
    if kind in ("TabularClassifier", "TabularRegressor"):
        from fastmlp.tabular._model_file import build_tabular

        return build_tabular(kind, facts)
    if kind in ("checkpoint", "checkpoint of members"):
        raise ModelFileError(
            "it holds a checkpoint of a fit: resume with fit(X, y, resume_from=path)"
        )
    raise ModelFileError(
        f"it holds {kind!r}, which fastmlp {__version__} does not know"
    )


def save_model(
    path: str | os.PathLike[str], kind: str, facts: Any, arrays: dict[str, np.ndarray]
) -> None:
    """Write a model, if what is written makes a model again.

    Parameters
    ----------
    path : str or path-like
        The file; it is replaced in one step.
    kind : str
        Name of the model's class.
    facts : dict
        What is no array, for :func:`to_bytes`.
    arrays : dict of str to ndarray
        The arrays.
    """
    data = to_bytes(kind, facts, arrays)
    with refusing("this model cannot be stored"):
        build_model(*from_bytes(data))
    replace_file(path, data)


@contextmanager
def naming_file(path: str | os.PathLike[str]) -> Iterator[None]:
    """Have every error about a file's content be a ModelFileError with its name."""
    with refusing(f"{os.fspath(path)!r} cannot be loaded"):
        yield


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Have every error of unfit content be a ModelFileError that begins so."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RecursionError) as error:
        reason = f"its parts do not fit together ({type(error).__name__}: {error})"
        raise ModelFileError(f"{what}: {reason}") from error
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"{what}: {error}") from error


# -- bytes


def to_bytes(kind: str, facts: Any, arrays: dict[str, np.ndarray]) -> bytes:
    """A file's content.

    Parameters
    ----------
    kind : str
        What it is of.
    facts : object
        Of None, bool, numbers, str, lists, tuples, dicts, arrays, dtypes and
        RandomStates.
    arrays : dict of str to ndarray
        Of floats and integers.

    Raises
    ------
    ModelFileError
        If the facts hold something else.
    """
    library = require("safetensors.numpy", "safetensors", "a model file")
    tensors = {name: np.ascontiguousarray(a) for name, a in arrays.items()}
    stored = {
        "format": FORMAT,
        "fastmlp": __version__,
        "kind": kind,
        "facts": _pack(facts, tensors, kind),
    }
    tensors[_DIGEST] = np.zeros(_DIGEST_BYTES, np.uint8)
    data = library.save(tensors, metadata={"fastmlp": json.dumps(stored)})
    body = memoryview(data)[:-_DIGEST_BYTES]
    return b"".join((body, hashlib.sha256(body).digest()))


def from_bytes(data: bytes) -> tuple[str, Any, dict[str, np.ndarray]]:
    """Kind, facts and arrays of a file's content.

    Raises
    ------
    ModelFileError
        If it is not whole, or of another format.
    """
    require("safetensors.numpy", "safetensors", "a model file")
    _check_digest(data)
    with refusing("not a model file"):
        stored = _read_metadata(data)
    if stored.get("format") != FORMAT:
        raise ModelFileError(
            f"it is of format {stored.get('format')!r}, written by fastmlp "
            f"{stored.get('fastmlp')!r}; fastmlp {__version__} reads format {FORMAT}"
        )
    tensors = _read_tensors(data)
    with refusing("damaged"):
        facts = _unpack(stored["facts"], tensors)
        if not isinstance(stored["kind"], str) or not isinstance(facts, dict):
            raise ModelFileError("kind or facts are missing")
    return stored["kind"], facts, tensors


def _check_digest(data: bytes) -> None:
    body = memoryview(data)[:-_DIGEST_BYTES]
    if hashlib.sha256(body).digest() != data[-_DIGEST_BYTES:]:
        raise ModelFileError(
            "it is not a model file, or it is damaged: its content does not match the "
            "SHA-256 stored at its end"
        )


def _read_metadata(data: bytes) -> Any:
    n_bytes = int.from_bytes(data[:8], "little")
    if not 2 <= n_bytes <= len(data) - 8 - _DIGEST_BYTES:
        raise ModelFileError("it has no header")
    header = _read_json(data[8 : 8 + n_bytes])
    return _read_json(header["__metadata__"]["fastmlp"])


def _read_tensors(data: bytes) -> dict[str, np.ndarray]:
    """The tensors, as safetensors reads and checks them, but that of the digest."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_tensors

    try:
        tensors = load_tensors(data)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"damaged: {error}") from error
    if tensors.pop(_DIGEST, None) is None:
        raise ModelFileError("damaged: its SHA-256 is missing")
    return tensors


def _read_json(text: str | bytes) -> Any:
    return json.loads(text, parse_int=_integer)


def _integer(digits: str) -> int:
    # Longer ones are no float64, and Python takes its time to read them.
    if len(digits) > 20 or abs(int(digits)) > 2 * _LARGEST_INTEGER + 1:
        raise ModelFileError(f"the number {digits[:20]}… is too large")
    return int(digits)


def _pack(value: Any, tensors: dict[str, np.ndarray], path: str) -> Any:
    """A value as JSON; what JSON has not is a dict of one key, which says what it is.

    Large arrays go among the tensors.
    """
    if value is None or isinstance(value, bool | int | float | str):
        plain = value.item() if isinstance(value, np.generic) else value
        if type(plain) is int and abs(plain) > _LARGEST_INTEGER:
            raise ModelFileError(f"{path} is too large: {plain!r}")
        return plain
    if isinstance(value, np.dtype | type):
        return {"dtype": np.dtype(value).name}
    if isinstance(value, np.random.RandomState):
        state = value.get_state(legacy=False)
        return {"stream": _pack(state, tensors, path)}
    if isinstance(value, np.generic):
        return _pack(value.item(), tensors, path)
    if isinstance(value, np.ndarray):
        return _pack_array(value, tensors, path)
    if isinstance(value, dict):
        rows = [
            [_pack(k, tensors, path), _pack(v, tensors, f"{path}.{k}")]
            for k, v in value.items()
        ]
        return {"dict": rows}
    if isinstance(value, list | tuple):
        rows = [_pack(v, tensors, f"{path}.{i}") for i, v in enumerate(value)]
        return rows if isinstance(value, list) else {"tuple": rows}
    raise ModelFileError(
        f"{path} is a {type(value).__name__}, which a model file cannot hold"
    )


def _pack_array(array: np.ndarray, tensors: dict[str, np.ndarray], path: str) -> Any:
    if array.dtype.kind in "iuf" and array.dtype.itemsize <= 8:
        tensors[path] = np.ascontiguousarray(array)
        return {"array": path}
    if array.dtype.kind not in _AS_LIST or array.ndim != 1:
        raise ModelFileError(
            f"{path} is an array of {array.dtype}, which a model file cannot hold"
        )
    strings = array.dtype.kind == "b" or all(isinstance(v, str) for v in array.tolist())
    if not strings:
        raise ModelFileError(
            f"{path} is an array of objects, and a model file holds only strings"
        )
    return {"values": [array.dtype.str, array.tolist()]}


def _unpack(value: Any, tensors: dict[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_unpack(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    if tag == "array":
        return tensors.pop(content)
    if tag == "values":
        return _unpack_values(*content)
    if tag == "dtype":
        return np.dtype(str(content))
    if tag == "stream":
        return stream_from(_unpack(content, tensors))
    if tag == "dict":
        return dict(_unpack(content, tensors))
    if tag == "tuple":
        return tuple(_unpack(content, tensors))
    raise ModelFileError(f"unknown content: {tag!r}")


def _unpack_values(name: str, values: list) -> np.ndarray:
    kind = np.dtype(name)
    expected = bool if kind.kind == "b" else str
    if kind.kind not in _AS_LIST or not all(type(v) is expected for v in values):
        raise ModelFileError(f"an array of {name!r} holds values of another type")
    longest = max((len(v) for v in values), default=1) if expected is str else 1
    if kind.kind == "U" and kind.itemsize > 4 * max(longest, 1):
        raise ModelFileError(f"an array of {name!r} holds only shorter strings")
    return np.array(values, dtype=kind)


# -- the disk


def replace_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file in one step: whoever reads it finds the old content or the new one.

    The content is written beside it, forced to the disk and read again before it takes
    the file's name. A process that is killed meanwhile leaves the old file, and beside
    it one whose name ends in ``.tmp``: nothing reads it, and the next save of the file
    removes it.

    Parameters
    ----------
    path : str or path-like
        The file; a link is followed.
    data : bytes
        Its content.

    Raises
    ------
    OSError
        If it cannot be written; the old file is still there.
    """
    target = Path(os.path.realpath(path))
    _remove_left_over(target)
    with _open_beside(target) as (file, beside):
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        if beside.read_bytes() != data:
            raise OSError(
                f"{os.fspath(path)!r} was not written: the disk gave back other bytes"
            )
        if fcntl is None:  # Windows renames no file that is open
            file.close()
        beside.replace(target)
    sync_folder(target.parent)


@contextmanager
def _open_beside(target: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """A new file beside another, locked while it is of use; an error removes it."""
    file, beside = _create_locked(target)
    with file:
        try:
            yield file, beside
        except BaseException:
            with suppress(OSError):  # of what could not be written
                file.close()
            with suppress(OSError):
                beside.unlink()
            raise


def _create_locked(target: Path) -> tuple[IO[bytes], Path]:
    while True:
        beside = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
        file = beside.open("xb")
        if fcntl is None:
            return file, beside
        with suppress(OSError):  # the file system has no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        # Another save may have found it before it was locked, and removed it.
        if os.fstat(file.fileno()).st_nlink > 0:
            return file, beside
        file.close()


def _remove_left_over(target: Path) -> None:
    """Remove what killed saves of a file have left beside it: what nobody has locked.

    Where there are no locks nobody can tell whether a save is under way, and it stays.
    """
    if fcntl is None:
        return
    name = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{16}}\.tmp")
    with suppress(OSError):
        for found in os.listdir(target.parent):
            if name.fullmatch(found):
                with suppress(OSError):
                    _remove_unlocked(target.with_name(found))


def _remove_unlocked(path: Path) -> None:
    # Neither through a link nor waiting for a pipe, should somebody have put one there.
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system can do that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
