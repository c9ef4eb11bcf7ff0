"""Sparse matrices whose indices lead outside are refused before SciPy follows them."""

import numpy as np
import pytest
import scipy.sparse
from fits import fit

from fastmlp import MLPClassifier, MLPRegressor, Network
from fastmlp.rows import check_structure

RANDOM = np.random.RandomState(0)
DENSE = RANDOM.standard_normal((12, 5)) * (RANDOM.rand(12, 5) < 0.5)
DENSE[0] = 1
Y = np.arange(12) % 2


def sparse(form, index_type):
    X = scipy.sparse.csr_array(DENSE).asformat(form)
    X.indices, X.indptr = X.indices.astype(index_type), X.indptr.astype(index_type)
    return X


def _set(array, place, value):
    array[place] = value


CORRUPTIONS = {
    "index n": lambda X, n: _set(X.indices, 3, n),
    "index -1": lambda X, n: _set(X.indices, -1, -1),
    "a large index": lambda X, n: _set(X.indices, 0, 2**31 - 1),
    "wrapped into range": lambda X, n: _set(X.indices, 0, 2**32 + 1),
    "the least": lambda X, n: _set(X.indices, 0, np.iinfo(X.indices.dtype).min),
    "indptr falls": lambda X, n: _set(X.indptr, 2, X.indptr[1] - 1),
    "indptr begins at 1": lambda X, n: _set(X.indptr, 0, 1),
    "indptr is negative": lambda X, n: _set(X.indptr, 0, -1),
    "indptr ends beyond": lambda X, n: _set(X.indptr, -1, len(X.indices) + 1),
    "indptr leaps": lambda X, n: _set(X.indptr, 1, 10**6),
    "short indptr": lambda X, n: setattr(X, "indptr", X.indptr[:-1]),
    "short data": lambda X, n: setattr(X, "data", X.data[:-1]),
    "short indices": lambda X, n: setattr(X, "indices", X.indices[:-1]),
    "no integers": lambda X, n: setattr(X, "indices", X.indices.astype(float)),
}


def uses():
    """Every way that a matrix comes in; the estimator, the call."""
    fitted = fit(MLPClassifier((3,), max_iter=1), DENSE, Y)
    regressor = fit(MLPRegressor(solver="lbfgs", max_iter=1), DENSE, Y)
    network = Network([5, 3, 1])
    return {
        "fit": lambda X: MLPClassifier().fit(X, Y),
        "refit": lambda X: fitted.fit(X, Y),
        "X_val": lambda X: MLPRegressor().fit(DENSE, Y, X_val=X, y_val=Y),
        "lbfgs": lambda X: MLPRegressor(solver="lbfgs").fit(X, Y),
        "partial_fit": lambda X: fitted.partial_fit(X, Y),
        "first partial_fit": lambda X: MLPRegressor().partial_fit(X, Y),
        "predict": fitted.predict,
        "predict_proba": fitted.predict_proba,
        "score": lambda X: regressor.score(X, Y),
        "input_gradients": fitted.input_gradients,
        "hidden_activations": regressor.hidden_activations,
        "logits": fitted.logits,
        "network": network.predict,
        "loss": lambda X: network.loss_and_grad(X, Y),
    }


@pytest.mark.parametrize("index_type", ["int32", "int64"])
@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corrupt_matrices_are_refused(name, form, index_type):
    X = sparse(form, index_type)
    if name == "wrapped into range" and index_type == "int32":
        pytest.skip("does not fit")
    CORRUPTIONS[name](X, X.shape[1 if form == "csr" else 0])
    before = [a.copy() for a in (X.data, X.indices, X.indptr)]
    for use, call in uses().items():
        with pytest.raises(ValueError, match=r"(corrupt|of a) sparse matrix") as caught:
            call(X)
        assert "X_val" in str(caught.value) or use != "X_val"
    after = X.data, X.indices, X.indptr
    assert all(map(np.array_equal, before, after))


@pytest.mark.parametrize("index_type", ["int32", "int64"])
@pytest.mark.parametrize("form", ["csr", "csc"])
def test_duplicates_and_any_order_are_valid(form, index_type):
    X = sparse(form, index_type)
    twice = scipy.sparse.coo_array(X)
    rows, columns = (np.concatenate([c, c])[::-1] for c in twice.coords)
    halves = np.concatenate([twice.data, twice.data])[::-1] / 2
    model = fit(MLPRegressor(max_iter=2, random_state=0), DENSE, Y)
    expected = model.predict(DENSE)
    messy = X.copy()
    ends = np.searchsorted(np.sort(rows), np.arange(13))
    if form == "csr":
        order = np.argsort(rows, kind="stable")
        messy = scipy.sparse.csr_array(
            (halves[order], columns[order].astype(index_type), ends.astype(index_type)),
            shape=X.shape,
        )
        assert not messy.has_canonical_format
    np.testing.assert_allclose(model.predict(messy), expected, rtol=1e-12)
    fit(MLPRegressor(max_iter=2), messy, Y)


def test_entries_behind_the_last_are_valid():
    """SciPy leaves room there."""
    X = sparse("csr", "int32")
    X.data, X.indices = np.append(X.data, np.nan), np.append(X.indices, 99)
    check_structure(X, "X")
    check_structure(scipy.sparse.csr_array((0, 5)), "X")
    check_structure(scipy.sparse.csr_array((3, 5)), "X")


@pytest.mark.parametrize("form", ["coo", "bsr"])
def test_other_forms(form):
    X = scipy.sparse.csr_array(DENSE[:10]).asformat(form)
    check_structure(X, "X")
    (X.coords[1] if form == "coo" else X.indices)[0] = 5
    with pytest.raises(
        ValueError, match=r"corrupt sparse matrix: its indices.*\[0, 5\)"
    ):
        MLPClassifier().fit(X, Y[:10])


def test_corrupt_labels():
    y = scipy.sparse.csr_array(np.stack([Y, 1 - Y], axis=1))
    y.indices[0] = 7
    for call in (MLPClassifier().fit, MLPClassifier().partial_fit):
        with pytest.raises(ValueError, match="y is a corrupt"):
            call(DENSE, y)
