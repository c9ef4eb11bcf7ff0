"""What show_versions says."""

import sys

import numpy as np
import scipy
import threadpoolctl

import fastmlp
from fastmlp import _kernels, diagnostics


def shorten(monkeypatch):
    monkeypatch.setattr(diagnostics, "SECONDS_OF_A_MEASUREMENT", 0.001)
    monkeypatch.setattr(diagnostics, "PRODUCT_SIZE", 32)
    monkeypatch.setattr(diagnostics, "STREAM_ENTRIES", 1000)


def test_show_versions(monkeypatch, capsys):
    shorten(monkeypatch)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Some")
    fastmlp.show_versions()
    text = capsys.readouterr().out
    for line in (
        f"    fastmlp: {fastmlp.__version__}",
        f"    numpy: {np.__version__}",
        f"    scipy: {scipy.__version__}",
        f"    executable: {sys.executable}",
        f"    chosen: {_kernels.isa}",
        f"    available: {', '.join(_kernels.available())}",
        "    OPENBLAS_CORETYPE: Some",
    ):
        assert f"{line}\n" in text
    assert text.count("GFLOP/s") == 2
    assert text.count("GB/s") == 1


def test_threads_are_explained(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = diagnostics.describe_threads()
    assert found["a fit may have"] == found["OMP_NUM_THREADS"] == 1


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(diagnostics, "DISTRIBUTIONS", ("no-such-thing",))
    assert diagnostics.find_versions()["no-such-thing"] == "not installed"


def test_every_blas_is_named():
    found = diagnostics.describe_blas()
    for pool in threadpoolctl.threadpool_info():
        name = pool["filepath"].rpartition("/")[2]
        assert pool["internal_api"] in found[name]


def test_a_rate_is_work_over_time(monkeypatch):
    """Of a product that takes a known time."""
    monkeypatch.setattr(diagnostics, "measure_seconds", lambda work: 1e-3)
    monkeypatch.setattr(diagnostics, "PRODUCT_SIZE", 100)
    assert diagnostics.measure_product(np.float32) == 2.0


def test_the_command(monkeypatch, capsys):
    shorten(monkeypatch)
    assert diagnostics.print_info([]) == 0
    assert "Engine:" in capsys.readouterr().out
    assert diagnostics.print_info(["more"]) == 2
    assert "usage" in capsys.readouterr().err
