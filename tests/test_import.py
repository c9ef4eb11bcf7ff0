"""What importing fastmlp needs, and how its engine is chosen."""

import os
import subprocess
import sys

import pytest

import fastmlp
from fastmlp import _kernels

WITHOUT_SCIKIT_LEARN = """
import sys
sys.modules["sklearn"] = None
import numpy as np
from fastmlp import Network
network = Network([2, 3, 1], random_state=0)
loss, grad = network.loss_and_grad(np.ones((4, 2)), np.zeros(4))
assert loss > 0 and grad.shape == network.params.shape
assert network.predict(np.ones((4, 2))).shape == (4, 1)
import fastmlp.fitting, fastmlp.full_batch
try:
    from fastmlp import MLPClassifier
except ImportError:
    print("fine")
"""


def run(code, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def test_network_needs_no_scikit_learn():
    done = run(WITHOUT_SCIKIT_LEARN)
    assert done.stdout == "fine\n", done.stderr


@pytest.mark.parametrize("use", ["fastmlp", "fastmlp.Network"])
def test_importing_the_package_imports_no_scikit_learn(use):
    done = run(f"import fastmlp, sys; {use}; print('sklearn' in sys.modules)")
    assert done.stdout == "False\n", done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", ".estimators", ".export", ".plot"])
def test_nothing_is_imported_that_only_some_functions_need(name):
    libraries = {"matplotlib", "onnx", "skl2onnx", "torch", "IPython", "tqdm"}
    done = run(f"import fastmlp{name}, sys; print({libraries} & set(sys.modules))")
    assert done.stdout == "set()\n", done.stderr


def test_importing_the_package_imports_no_numpy():
    """A program that is run on fastmlp may set what NumPy reads at its import."""
    done = run("import fastmlp, sys; print('numpy' in sys.modules)")
    assert done.stdout == "False\n", done.stderr


def test_every_public_name_is_there():
    for name in fastmlp.__all__:
        assert getattr(fastmlp, name) is not None
        assert name in dir(fastmlp)


@pytest.mark.parametrize("isa", _kernels.available())
def test_isa_is_forced(isa):
    done = run("from fastmlp import _kernels; print(_kernels.isa)", FASTMLP_ISA=isa)
    assert done.stdout == f"{isa}\n", done.stderr


def test_best_isa_is_the_default():
    done = run("from fastmlp import _kernels; print(_kernels.isa)", FASTMLP_ISA="")
    assert done.stdout == f"{_kernels.available()[0]}\n", done.stderr


def test_unknown_isa_is_a_clear_error():
    done = run("from fastmlp import Network", FASTMLP_ISA="v9")
    assert done.returncode != 0
    assert "FASTMLP_ISA='v9' is not available" in done.stderr


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'MLPTransformer'"):
        __import__("fastmlp").MLPTransformer  # noqa: B018
