"""Random streams that are copied, stored, and go on."""

from __future__ import annotations

import copy
from numbers import Integral
from typing import Any

import numpy as np

# NumPy sets a generator's 624 numbers one by one: from an array in 30 microseconds,
# from a list in two.


class _NoSeed(np.random.SeedSequence):
    """For a generator that is given a state at once: a seed takes NumPy longer."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        return [0] * n_words

    def __reduce__(self) -> tuple:
        # Stored models name nothing of ours that need not be there.
        return np.random.SeedSequence, (0,)


_NO_SEED = _NoSeed(0)

# NumPy's generators, and the place in their buffers that it reads without a look.
_BUFFERS = {"MT19937": 624, "PCG64": 0, "PCG64DXSM": 0, "Philox": 4, "SFC64": 0}


def _unseeded() -> np.random.RandomState:
    """A stream of NumPy's usual generator, to be given a seed or a state."""
    return np.random.RandomState(np.random.MT19937(_NO_SEED))


def new_stream(seed: Any) -> np.random.RandomState:
    """``np.random.RandomState(seed)``, of an integer in a twentieth of the time: NumPy
    draws a seed from the system before it takes this one.
    """
    if not isinstance(seed, Integral):
        return np.random.RandomState(seed)
    stream = _unseeded()
    stream.seed(int(seed))
    return stream


def as_stream(random_state: Any) -> np.random.RandomState:
    """What ``sklearn.utils.check_random_state`` makes of it."""
    if isinstance(random_state, Integral):
        return new_stream(random_state)
    from sklearn.utils import check_random_state

    return check_random_state(random_state)


def copy_stream(random_state: np.random.RandomState) -> np.random.RandomState:
    """A deep copy; of NumPy's usual generator in a fifth of the time."""
    state = random_state.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        return copy.deepcopy(random_state)
    return stream_from(state)


def stream_from(state: dict[str, Any]) -> np.random.RandomState:
    """The stream that is in that state.

    Parameters
    ----------
    state : dict
        What ``RandomState.get_state(legacy=False)`` has returned.

    Raises
    ------
    ValueError
        If it is of another generator than NumPy's, or points outside of its buffer.
    """
    end = _BUFFERS.get(state["bit_generator"])
    place = state["state"].get("pos", state.get("buffer_pos", 0))
    if end is None or not 0 <= place <= end:
        raise ValueError(
            "not a valid state of one of NumPy's random generators: "
            f"{state['bit_generator']!r}"
        )
    if state["bit_generator"] == "MT19937":
        key = np.asarray(state["state"]["key"]).tolist()
        state = {**state, "state": {**state["state"], "key": key}}
        stream = _unseeded()
    else:
        stream = np.random.RandomState(getattr(np.random, state["bit_generator"])())
    stream.set_state(state)
    return stream
