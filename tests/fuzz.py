"""Anything at all through the public interface, against the contract.

``python tests/fuzz.py [--cases N] [--seed SEED] [--room NAME]`` draws calls by
hypothesis. Each must give a right result, or a ValueError or TypeError in words that
leaves the model and the arguments as they were. A fault is shown in its smallest form,
and ends the run with an error; a crash does so by itself, behind the number of the
round. ``test_fuzz.py`` runs two thousand of them.
"""

import argparse
import contextlib
import functools
import io
import json
import math
import pickle
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from itertools import pairwise
from pathlib import Path
from traceback import walk_tb

import numpy as np
import scipy.sparse
from fits import fit
from fuzz_inputs import (
    FORMS,
    NARROW,
    VECTORS,
    WRONG,
    any_rows,
    in_forms,
    made,
    odd,
    parameters,
    vectors,
)
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from test_model_files import (
    apart,
    changed,
    leaves,
    put_together,
    taken_apart,
    with_state,
)

import fastmlp
from fastmlp import (
    Checkpoint,
    MLPClassifier,
    MLPRegressor,
    ModelFileError,
    Network,
    _kernels,
)
from fastmlp import _reference as reference
from fastmlp.estimators._attributes import network_of
from fastmlp.recipe import FIRST_ORDER_SOLVERS
from fastmlp.workspace import build_arena

N_ROWS, N_COLUMNS = 12, 3
PLAIN = np.random.RandomState(0).standard_normal((N_ROWS, N_COLUMNS))
SMALL = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0, "n_threads": 1}
ESTIMATORS = {"MLPClassifier": "labels", "MLPRegressor": "targets"}

# -- the contract

PACKAGE = str(Path(fastmlp.__file__).parent)

# How Python and Cython complain about what nobody has looked at.
ACCIDENTS = re.compile(
    r"unsupported operand|not supported between|object is not|has no (attribute|len)"
    r"|positional argument|unexpected keyword|Buffer (dtype|has)|cannot unpack"
    r"|is ambiguous|unhashable|must be real number|cannot be interpreted"
    r"|NoneType|list index|tuple index|index out of|broadcast|matmul|ufunc|subscript"
)


def check_words(error):
    """An error must have been written for whoever has made the call.

    What scikit-learn has raised is in its own words, as from its own estimators.
    """
    tracebacks = [e.__traceback__ for e in (error, error.__cause__) if e]
    frames = [f.f_code.co_filename for t in tracebacks for f, _ in walk_tb(t)]
    ours = [path for path in frames if "numpy" not in path and "scipy" not in path]
    text = str(error)
    by_accident = ours[-1].startswith(PACKAGE) and ACCIDENTS.search(text)
    if isinstance(error, ModelFileError):  # "its parts do not fit together", and why
        by_accident = False
    if by_accident or len(text.split()) < 3:
        raise AssertionError(f"not in words: {error!r}") from error


# What became of the calls.
CALLS = Counter()


def bits(value):
    """All that a value holds, if it can be pickled."""
    if isinstance(value, tuple):
        return list(map(bits, value))
    # pandas keeps what it has looked up.
    plain = value.to_numpy() if hasattr(value, "to_numpy") else value
    if scipy.sparse.issparse(value):  # which keeps whether its indices are sorted
        names = ("data", "indices", "indptr", "coords", "rows", "offsets")
        return [bits(getattr(value, name, None)) for name in names]
    try:
        return pickle.dumps(plain)
    except Exception:
        return None


def state_of(model):
    """What a failed call may not change: attributes, and the bits of those fitted."""
    if isinstance(model, Network):
        return bits(model)
    attributes = dict(vars(model))
    fitted = [v for name, v in attributes.items() if name[0] == "_" or name[-1] == "_"]
    return attributes, bits(fitted)


def is_unchanged(model, before):
    if isinstance(model, Network):
        return state_of(model) == before
    (attributes, fitted), (now, fitted_now) = before, state_of(model)
    same = attributes.keys() == now.keys()
    return same and fitted == fitted_now and all(attributes[n] is now[n] for n in now)


def call(model, method, *arguments, **keywords):
    """What a method returns; None if it has refused the arguments, as it may."""
    given_bits = bits((*arguments, *keywords.values()))
    before = state_of(model)
    try:
        with quiet():
            found = getattr(model, method)(*arguments, **keywords)
        CALLS["answered"] += 1
        return found
    except (ValueError, TypeError) as error:
        check_words(error)
        CALLS["refused"] += 1
        assert is_unchanged(model, before), "a failed call has changed the model"
        return None
    finally:
        now = bits((*arguments, *keywords.values()))
        assert now == given_bits, "arguments were changed"


@contextlib.contextmanager
def quiet():
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def twin_outputs(network, X):
    """The network's outputs, by the equations in NumPy."""
    X = np.ascontiguousarray(X, network.dtype)
    out = np.empty((len(X), network.layer_sizes[-1]), network.dtype)
    arena = build_arena(network.arena_entries, len(X), network.dtype)
    model = network.params, network.stats, network.plan
    with np.errstate(all="ignore"):
        reference.predict(out, arena, X, *model, len(X))
    return out


def assert_close(found, expected, dtype=float):
    """To rounding, where numbers are not so large that sums may overflow."""
    if np.isfinite(expected).all() and np.abs(expected).max(initial=0) < 1e6:
        tolerance = 1e-9 if np.dtype(dtype) == np.float64 else 1e-3
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def check_fitted(model):
    """A fit that returns has finite numbers, and predicts by them."""
    state = model._state
    arrays = [state.network.params, state.network.stats]
    if state.optimizer is not None:
        arrays.append(state.optimizer.slots)
    assert all(np.isfinite(array).all() for array in arrays)
    assert math.isfinite(model.loss_)
    n_columns = model.n_features_in_
    X = np.resize(PLAIN, (N_ROWS, n_columns))
    outputs, dtype = twin_outputs(network_of(model), X), state.network.dtype
    with quiet():
        if isinstance(model, MLPRegressor):
            assert_close(model.predict(X).reshape(outputs.shape), outputs, dtype)
            return
        found = model.predict_proba(X)
        assert ((found >= 0) & (found <= 1)).all() or not np.isfinite(found).all()
        if network_of(model).output_activation == "softmax":
            assert_close(found, outputs, dtype)
        predicted = model.predict(X)
    if model._labels.exclusive:
        assert np.isin(predicted, model.classes_).all()
    else:
        assert predicted.shape == found.shape


# -- fits


@functools.cache
def stored(name, targets, **params):
    """A fitted estimator, pickled."""
    y = VECTORS[ESTIMATORS[name]][targets](N_ROWS)
    model = getattr(fastmlp, name)(**{**SMALL, **dict(params)})
    return pickle.dumps(fit(model, PLAIN, y))


def drawn_estimator(draw):
    """A new estimator, or one that was fitted, with some parameters set."""
    name = draw(st.sampled_from(sorted(ESTIMATORS)))
    cls = getattr(fastmlp, name)
    model = cls(**SMALL, max_seconds=0.05)
    if draw(st.booleans()):
        kinds = ["binary", "three", "labels"], ["ramp", "two"]
        targets = draw(st.sampled_from(kinds["R" in name]))
        model = pickle.loads(stored(name, targets)).set_params(max_seconds=0.05)
    return model.set_params(**draw(parameters(cls)))


def fits(draw):
    """Fit and partial_fit of anything."""
    model = drawn_estimator(draw)
    table = ESTIMATORS[type(model).__name__]
    X, y = draw(any_rows(N_ROWS, N_COLUMNS)), draw(vectors(table, N_ROWS))
    w = draw(st.none() | vectors("weights", N_ROWS))
    keywords, method = {}, draw(st.sampled_from(["fit", "fit", "partial_fit"]))
    if method == "partial_fit" and table == "labels":
        classes = st.sampled_from([None, [0, 1], [0, 1, 2], ["a", "b", "c"], [1], []])
        keywords["classes"] = draw(classes | odd)
    elif method == "fit" and draw(st.integers(0, 3)) == 0:
        keywords["X_val"] = draw(any_rows(N_ROWS, N_COLUMNS))
        keywords["y_val"] = draw(vectors(table, N_ROWS))
        keywords["sample_weight_val"] = draw(st.none() | vectors("weights", N_ROWS))
    if method == "partial_fit" and not hasattr(model, method):
        assert all(model.solver is not name for name in FIRST_ORDER_SOLVERS)
        return
    if call(model, method, X, y, w, **keywords) is not None:
        check_fitted(model)


def forms(draw):
    """The same numbers in another form make the same model and predictions."""
    form, values = draw(in_forms((*FORMS, *NARROW), N_ROWS, N_COLUMNS))
    name = draw(st.sampled_from(sorted(ESTIMATORS)))
    y = VECTORS[ESTIMATORS[name]]["binary" if "C" in name else "ramp"](N_ROWS)
    X = made(form, values)
    plain = (
        np.asarray(X, X.dtype if form == "float32" else float)
        if (form in NARROW)
        else values
    )
    settings = {**SMALL, "solver": draw(st.sampled_from(["sgd", "lbfgs"]))}
    mine, other = (getattr(fastmlp, name)(**settings) for _ in range(2))
    assert call(mine, "fit", X, y) is mine
    with quiet():
        other.fit(plain, y)
    sparse = scipy.sparse.issparse(X)
    for found, expected in (
        *zip(mine.coefs_, other.coefs_, strict=True),
        (mine.predict(X), other.predict(plain)),
    ):
        if sparse:
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
        else:
            np.testing.assert_array_equal(found, expected)


# -- use

FITTED = (
    ("MLPClassifier", "binary", ()),
    ("MLPClassifier", "three", (("batch_norm", True),)),
    ("MLPClassifier", "labels", ()),
    ("MLPClassifier", "strings", (("loss", "squared_error"),)),
    ("MLPRegressor", "ramp", ()),
    ("MLPRegressor", "two", (("dtype", "float32"),)),
    ("MLPRegressor", "ramp", (("loss", "quantile"), ("quantile", (0.1, 0.9)))),
    ("MLPRegressor", "counts", (("loss", "poisson"),)),
)
USES = {
    "MLPClassifier": ("predict", "predict_proba", "predict_log_proba"),
    "MLPRegressor": ("predict",),
    "both": ("logits", "hidden_activations", "input_gradients"),
}


def uses(draw):
    """What a fitted estimator is asked, of any rows."""
    name, targets, params = draw(st.sampled_from(FITTED))
    model = pickle.loads(stored(name, targets, **dict(params)))
    if draw(st.integers(0, 4)) == 0:
        table = ESTIMATORS[name]
        X, y = draw(any_rows(N_ROWS, N_COLUMNS)), draw(vectors(table, N_ROWS))
        score = call(model, "score", X, y, draw(st.none() | vectors("weights", N_ROWS)))
        assert score is None or math.isnan(score) or score <= 1 + 1e-12
        return
    method = draw(st.sampled_from([*USES[name], *USES["both"]]))
    n_columns = draw(st.sampled_from([N_COLUMNS, N_COLUMNS, N_COLUMNS, 2]))
    form, values = draw(in_forms((*FORMS, *WRONG, *NARROW), N_ROWS, n_columns))
    X = made(form, values)
    found = call(model, method, X)
    if form in FORMS and n_columns == N_COLUMNS:
        with quiet():
            expected = getattr(model, method)(values)
        for mine, other in zip_arrays(found, expected):
            if mine.dtype.kind == "f":
                assert_close(mine, other, model._state.network.dtype)
            else:
                np.testing.assert_array_equal(mine, other)


def zip_arrays(found, expected):
    if isinstance(found, list):
        return zip(found, expected, strict=True)
    return [(found, expected)]


# -- sparse rows

PLACES = (-(2**31), -1, 0, 1, 2, 5, 2**31 - 1, 2**32 + 1, 2**62)


@st.composite
def compressed(draw):
    """Compressed rows or columns, mostly with one number of their structure changed."""
    random = np.random.RandomState(draw(st.integers(0, 999)))
    form = draw(st.sampled_from(["csr", "csc"]))
    values = random.standard_normal((N_ROWS, N_COLUMNS))
    X = scipy.sparse.csr_array(values * (random.rand(*values.shape) < 0.5))
    X = X.asformat(form)
    kind = draw(st.sampled_from([np.int32, np.int64]))
    X.indices, X.indptr = X.indices.astype(kind), X.indptr.astype(kind)
    for _ in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from(["indices", "indptr", "length"]))
        if name == "length":
            what = draw(st.sampled_from(["indices", "indptr", "data"]))
            setattr(X, what, getattr(X, what)[: -draw(st.integers(1, 3))])
        else:
            array = getattr(X, name)
            place = draw(st.integers(0, len(array) - 1)) if len(array) else 0
            value = draw(st.sampled_from(PLACES))
            array[place : place + 1] = np.array([value]).astype(kind)
    return X


def dense_of(X):
    """The matrix, entry by entry; None if an index leads outside."""
    n_major, n_minor = X.shape if X.format == "csr" else X.shape[::-1]
    ends, indices = X.indptr.tolist(), X.indices.tolist()
    room = min(len(indices), len(X.data))
    if len(ends) != n_major + 1 or ends[0] != 0 or not 0 <= ends[-1] <= room:
        return None
    dense = np.zeros((n_major, n_minor))
    for i, (begin, end) in enumerate(pairwise(ends)):
        if not begin <= end <= room:
            return None
        for place in range(begin, end):
            if not 0 <= indices[place] < n_minor:
                return None
            dense[i, indices[place]] += X.data[place]
    return dense if X.format == "csr" else dense.T


def sparse(draw):
    """Sparse matrices whose indices may lead anywhere."""
    X = draw(compressed())
    dense, y = dense_of(X), np.arange(N_ROWS) % 2
    fitted = pickle.loads(stored("MLPRegressor", "ramp"))
    network = fitted._state.network
    made_anew = {"fit": MLPClassifier(**SMALL), "partial_fit": MLPRegressor(**SMALL)}
    way = draw(st.sampled_from(["fit", "partial_fit", "predict", "network", "loss"]))
    if way in made_anew:
        found = call(made_anew[way], way, X, y)
        assert (found is None) == (dense is None)
        return
    model = fitted if way == "predict" else network
    ask = {"network": "predict"}.get(way, way)
    more = (y,) if way == "loss" else ()
    found = call(model, ask, X, *more)
    if dense is None:
        assert found is None
    else:
        np.testing.assert_allclose(found, getattr(model, ask)(dense, *more), rtol=1e-9)


# -- networks

NAMES = {
    "activation": _kernels.HIDDEN_ACTIVATIONS,
    "loss": tuple(_kernels.HEADS),
    "output_activation": tuple(_kernels.ACTIVATIONS),
    "init": ("glorot_uniform", "he_normal"),
    "dtype": ("float32", "float64"),
}
SIZES = st.sampled_from([[3, 2], [3, 4, 1], [3, 4, 3, 2]]) | st.lists(
    st.sampled_from([-1, 0, 1, 2, 3, True, 0.5, 2**61, "x"])
)
SETTINGS = tuple(name for name in Network.__init__.__kwdefaults__)
QUESTIONS = (
    *("predict", "logits", "hidden_activations", "input_gradients", "jacobian"),
    *("loss", "loss_and_grad", "hessian_vector_product", "data_loss"),
)


def networks(draw):
    """Networks of any settings, asked anything."""
    given = {"random_state": 0}
    for name in draw(st.lists(st.sampled_from(SETTINGS), max_size=3, unique=True)):
        single = st.sampled_from(NAMES.get(name, (0, 0.0, 0.3, 0.5, 1.2, True)))
        given[name] = draw(single | single | st.lists(single, max_size=2) | odd)
    network = constructed(draw(SIZES), given)
    if network is None or network.layer_sizes[0] > 100:
        return
    X, y = draw(any_rows(N_ROWS, N_COLUMNS)), draw(vectors("targets", N_ROWS))
    question = draw(st.sampled_from(QUESTIONS))
    arguments = [X]
    if "loss" in question or "hessian" in question:
        arguments.append(y)
    if "hessian" in question:
        vector = [np.ones(network.params.size), [1.0], network.params]
        arguments.append(draw(st.sampled_from(vector) | odd))
    if len(arguments) > 1:
        arguments.append(draw(st.none() | vectors("weights", N_ROWS)))
    found = call(network, question, *arguments)
    if found is not None and question == "predict" and network.layer_sizes[0] == 3:
        assert_close(network.predict(PLAIN), twin_outputs(network, PLAIN), found.dtype)


def constructed(sizes, given):
    """A network; None if it is refused in words."""
    try:
        with quiet():
            return Network(sizes, **given)
    except (ValueError, TypeError) as error:
        check_words(error)
        return None


# -- files

ODD_JSON = (
    *(None, True, False, -1, 0, 1, 7, 2**31, 2**62, 2**63, 10**30, 0.5, -0.5, 1e300),
    *(float("nan"), float("inf"), "", "x", "relu", "softmax", "float32", [], [1], {}),
    *([[]], {"array": "x"}, {"dtype": "O"}, {"tuple": [1]}, {"dict": [[1, 2]]}),
    *({"values": ["<U1000000000000", ["a"]]}, {"stream": {}}, {"array": []}),
)


@functools.cache
def files():
    """Header and tensors of a file of each kind."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        more = {"early_stopping": True, "batch_norm": True, "dropout": 0.1}
        y = np.arange(N_ROWS) % 3
        for cls, settings in (
            (MLPClassifier, more),
            (MLPRegressor, {}),
            (MLPRegressor, {"solver": "lbfgs"}),
        ):
            fit(cls(**{**SMALL, **settings}), PLAIN, y).save(path)
            found.append(taken_apart(path))
        Network([N_COLUMNS, 4, 1], batch_norm=True).save(path)
        found.append(taken_apart(path))
        fit(resumed(path), PLAIN, y)
        found.append(taken_apart(path))
    return found


def resumed(path):
    """The estimator whose checkpoints are made and gone on from."""
    return MLPClassifier(**SMALL, early_stopping=True, callbacks=[Checkpoint(path)])


EDITS = st.tuples(
    st.sampled_from(["facts", "facts", "state", "state", "header", "tensors"]),
    st.integers(0, 10**4),
    st.sampled_from(ODD_JSON),
)


def edited(header, tensors, part, place, value):
    """Header and tensors with another value in a place of the JSON, or other bytes."""
    if part == "header":
        return altered(header, place, value), tensors
    if part == "facts":
        facts = json.loads(header["__metadata__"]["fastmlp"])
        text = json.dumps(altered(facts, place, value))
        return {**header, "__metadata__": {"fastmlp": text}}, tensors
    if part == "state":
        begin, end = header["state.meta"]["data_offsets"]
        state = altered(json.loads(tensors[begin:end]), place, value)
        return apart(with_state(header, tensors, json.dumps(state).encode()))
    place %= len(tensors)
    some = str(value).encode()[:8]
    return header, tensors[:place] + some + tensors[place + len(some) :]


def altered(value, place, new):
    """The JSON with another value in a place."""
    paths = list(leaves(value))
    return changed(value, paths[place % len(paths)], new)


def model_files(draw):
    """Files that somebody has made up, who knows the format and the digest."""
    header, tensors = files()[draw(st.integers(0, len(files()) - 1))]
    for edit in draw(st.lists(EDITS, min_size=1, max_size=3)):
        # What is there no more, or no JSON since the edit before, stays as it is.
        with contextlib.suppress(LookupError, TypeError, ValueError):
            header, tensors = edited(header, tensors, *edit)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(put_together(header, tensors))
        try:
            model = fastmlp.load(path)
        except ModelFileError as error:
            check_words(error)
            if "resume_from" in str(error):
                model = resumed(Path(folder, "other"))
                call(model, "fit", PLAIN, np.arange(N_ROWS) % 3, resume_from=path)
            return
        call(model, "predict", PLAIN)
        call(model, "save", path)
        if not isinstance(model, Network):
            call(model.set_params(warm_start=True), "fit", PLAIN, np.arange(N_ROWS) % 3)


# -- rounds

ROOMS = {
    "fits": fits,
    "forms": forms,
    "uses": uses,
    "sparse": sparse,
    "networks": networks,
    "model files": model_files,
}


def run_room(room, n_cases, number=None):
    """Try so many cases of a room: the same each time, or those of a seed. How many."""
    counts = Counter()

    @settings(
        max_examples=n_cases,
        deadline=None,
        database=None,
        derandomize=number is None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def check(data):
        counts[room] += 1
        with quiet():  # NumPy's matrices are about to go
            ROOMS[room](data.draw)

    (check if number is None else seed(number)(check))()
    return counts[room]


def main():
    """Draw and try, round by round."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--room", choices=ROOMS, action="append")
    given = parser.parse_args()
    n_done, round, begin = Counter(), given.seed, time.monotonic()
    while n_done.total() < given.cases:
        for room in given.room or ROOMS:
            print(f"round {round}, {room}", end="\r", flush=True)
            n_done[room] += run_room(room, 200, round)
        round += 1
    seconds = time.monotonic() - begin
    print(f"{n_done.total()} cases in {seconds:.0f} s, no fault: {dict(n_done)}")
    print(f"calls: {dict(CALLS)}")


if __name__ == "__main__":
    sys.exit(main())
