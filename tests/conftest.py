"""Fixtures of several test modules."""

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="module")
def one_blas_thread():
    """Small fits only wait for BLAS's other threads."""
    with threadpool_limits(1):
        yield
