"""Model files of released versions are read for ever."""

import numpy as np
import pytest
from fits import unconverged
from numpy.testing import assert_allclose
from released import FOLDER

import fastmlp

pytest.importorskip("safetensors", reason="safetensors is not installed")

FILES = sorted(FOLDER.glob("*/*.safetensors"))


@pytest.mark.parametrize(
    "path", FILES, ids=lambda path: f"{path.parent.name} {path.stem}"
)
def test_it_predicts_what_it_did(path):
    model = fastmlp.load(path)
    with np.load(path.parent / "predictions.npz") as stored:
        X, expected = (stored[f"{path.stem} {part}"] for part in "Xy")
    predicted = model.predict(X)
    assert predicted.dtype == expected.dtype
    if expected.dtype.kind in "fc":
        assert_allclose(predicted, expected, rtol=1e-5, atol=1e-6)
    else:
        assert np.array_equal(predicted, expected)


@pytest.mark.parametrize("name", ["classifier", "regularised", "counts"])
def test_it_can_go_on(name):
    for path in FOLDER.glob(f"*/{name}.safetensors"):
        model = fastmlp.load(path)
        with np.load(path.parent / "predictions.npz") as stored:
            X, y = (stored[f"{name} {part}"] for part in "Xy")
        before = model.t_
        model.set_params(early_stopping=False)
        with unconverged():
            model.partial_fit(X, y)
        assert model.t_ == before + len(X)


def test_there_are_files():
    assert len(FILES) >= 7
