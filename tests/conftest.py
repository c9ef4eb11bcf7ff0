"""Fixtures of several test modules; of long tables, what a quick run takes."""

from collections import defaultdict

import pytest
from threadpoolctl import threadpool_limits

# Rows of a table of parameters that are tried without ``slow``, about.
SAMPLE = 2


@pytest.fixture(scope="module")
def one_blas_thread():
    """Small fits only wait for BLAS's other threads."""
    with threadpool_limits(1):
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark as slow all but some rows, evenly spaced, of a table of parameters."""
    tables = defaultdict(list)
    for item in items:
        tables[item.nodeid.partition("[")[0]].append(item)
    for table in tables.values():
        step = -(-len(table) // SAMPLE)
        for number, item in enumerate(table):
            if number % step:
                item.add_marker(pytest.mark.slow)
