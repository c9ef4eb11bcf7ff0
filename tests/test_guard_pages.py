"""Guard pages find what they are for, and kernels touch nothing beyond their arrays."""

import signal
import sys

import numpy as np
import pytest

from fastmlp import _kernels

if sys.platform != "linux":
    pytest.skip("pages are protected by calls of Linux", allow_module_level=True)

from guard_pages import Guards, can_be_guarded, guarded, run


@pytest.mark.slow
@pytest.mark.parametrize("place", ["end", "begin"])
@pytest.mark.parametrize("isa", _kernels.available())
def test_arrays_that_are_too_short_are_found(isa, place):
    assert run(isa, "--plant", place) == -signal.SIGSEGV


@pytest.mark.slow
@pytest.mark.parametrize("isa", _kernels.available())
def test_kernels_under_guard(isa):
    assert run(isa, "--work", 200, 3) == 0


@pytest.mark.parametrize("at_end", [False, True])
def test_copies_hold_the_same_and_are_given_back(at_end):
    wide = np.arange(40.0).reshape(5, 8)
    for array in (wide, wide[:, 2:-3], wide.T, wide[::-1, ::2]):
        guards = Guards(at_end)
        twin, same = guards.copy((array, array))
        assert twin is same
        assert not np.shares_memory(twin, array)
        np.testing.assert_array_equal(twin, array)
        assert twin.strides == array.strides
        twin += 1
        expected = array + 1
        guards.give_back()
        np.testing.assert_array_equal(array, expected)


def test_what_laps_over_another_array_is_left_to_the_kernels():
    x = np.zeros(8)
    assert can_be_guarded([x, x, np.zeros(3)])
    assert not can_be_guarded([x[:5], x[3:]])
    given = x[:5], x[3:]
    found = guarded(lambda *arrays: arrays)(*given)
    assert all(mine is other for mine, other in zip(found, given, strict=True))
