"""Rows that are read block by block: the same fits as of rows in memory."""

import gc
import os
import pickle
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from fits import fit, unconverged
from sklearn.datasets import load_digits
from sklearn.utils.class_weight import compute_sample_weight

import fastmlp.estimators._streams
from fastmlp import Checkpoint, MLPClassifier, MLPRegressor, load
from fastmlp.limits import read_memory
from fastmlp.recipe import FULL_BATCH_SOLVERS
from fastmlp.rows import SeededOrder
from fastmlp.stream import Blocks
from fastmlp.stream.blocks import BLOCKS_OF_A_POOL
from fastmlp.stream.files import ArrayFile, open_array
from fastmlp.stream.pools import StreamRows
from fastmlp.stream.sources import BLOCKS_AHEAD

N_ROWS, N_FEATURES = 500, 4
random = np.random.default_rng(0)
X = random.standard_normal((N_ROWS, N_FEATURES)).astype(np.float32)
# Three classes, sorted as files often are.
y = np.sort(np.digitize(X[:, 0], [-0.5, 0.7]))
X[:, 0] = np.sort(X[:, 0])
w = random.uniform(0.5, 2.0, N_ROWS)
w[::7] = 0
NAMES = list("abcd")
SMALL = {
    "hidden_layer_sizes": (6,),
    "batch_size": 48,
    "max_iter": 3,
    "random_state": 1,
}
IN_ORDER = {**SMALL, "shuffle": False}


def parameters(model):
    return np.concatenate([a.ravel() for a in [*model.coefs_, *model.intercepts_]])


def same(model, other):
    return np.array_equal(parameters(model), parameters(other))


class Loader:
    """Batches that begin anew, each time they are iterated over."""

    def __init__(self, *arrays, size=70, seconds=0.0):
        self.arrays, self.size, self.seconds = arrays, size, seconds

    def __iter__(self):
        for begin in range(0, len(self.arrays[0]), self.size):
            time.sleep(self.seconds)
            yield tuple(array[begin : begin + self.size] for array in self.arrays)


class Sequence:
    """What has a length and batches by number, as Keras' Sequence."""

    def __init__(self, *arrays):
        self.batches = list(Loader(*arrays))

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, number):
        return self.batches[number]


class Slices:
    """What has a length and slices, as LightGBM's Sequence, and nothing else."""

    def __init__(self, array):
        self.array = array

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        return self.array[rows]


def saved(folder, name, array):
    np.save(folder / name, array)
    return folder / f"{name}.npy"


def frame(library=pd):
    return library.DataFrame({**dict(zip(NAMES, X.T, strict=True)), "y": y, "w": w})


def parquet(folder):
    pq = pytest.importorskip("pyarrow.parquet")
    pa = pytest.importorskip("pyarrow")
    path = folder / "rows.parquet"
    pq.write_table(
        pa.Table.from_pandas(frame(), preserve_index=False), path, row_group_size=64
    )
    return path


def dataset(folder):
    return pytest.importorskip("pyarrow.dataset").dataset(parquet(folder))


def table(folder):
    return pytest.importorskip("pyarrow").Table.from_pandas(frame())


COLUMNS = {"y": "y", "sample_weight": "w"}
BESIDE = {"y": y, "sample_weight": w}
# Each is the same rows, targets and weights.
SOURCES = {
    "paths": lambda d: Blocks(
        str(saved(d, "X", X)), saved(d, "y", y), str(saved(d, "w", w))
    ),
    "array": lambda d: Blocks(X, **BESIDE),
    "memory map": lambda d: Blocks(np.load(saved(d, "X", X), mmap_mode="r"), y, w),
    "part of a map": lambda d: Blocks(
        np.load(saved(d, "X", np.vstack([X[:9], X, X])), mmap_mode="r")[9:][:N_ROWS],
        **BESIDE,
    ),
    "changed map": lambda d: Blocks(changed_map(d), **BESIDE),
    "Fortran's order": lambda d: Blocks(saved(d, "X", np.asfortranarray(X)), **BESIDE),
    "slices": lambda d: Blocks(Slices(X), **BESIDE),
    "pandas": lambda d: Blocks(frame(), **COLUMNS),
    "pandas, any index": lambda d: Blocks(frame()[::-1].iloc[::-1], **COLUMNS),
    "polars": lambda d: Blocks(frame(pl), **COLUMNS),
    "Arrow table": lambda d: Blocks(table(d), columns=NAMES, **COLUMNS),
    "Arrow dataset": lambda d: Blocks(dataset(d), **COLUMNS),
    "Parquet": lambda d: Blocks(parquet(d), y, "w", columns=NAMES),
    "Parquet spilled": lambda d: Blocks(parquet(d), **COLUMNS, spill=d),
    "list of batches": lambda d: Blocks(list(Loader(X, y, w))),
    "Sequence": lambda d: Blocks(Sequence(X, y, w)),
    "iterable": lambda d: Blocks(Loader(X, y, w)),
    "iterable spilled": lambda d: Blocks(Loader(X, y, w), spill=d),
}


def changed_map(folder):
    """A copy-on-write map whose rows are not those of its file."""
    mapped = np.load(saved(folder, "X", 0 * X), mmap_mode="c")
    mapped[...] = X
    return mapped


# -- the bits are those of a fit in memory, where the order of the rows is the same


@pytest.mark.parametrize("name", SOURCES)
def test_rows_in_order_give_the_bits_of_a_fit_in_memory(name, tmp_path):
    blocks = SOURCES[name](tmp_path)
    # Arrow is handed columns and weights in float64; arrays as they are.
    in_memory = fit(MLPClassifier(**IN_ORDER), X, y, w)
    # Blocks of a single row take tables long.
    for pool_rows in (48, 100, 301, N_ROWS) if isinstance(blocks.y, Path) else (200,):
        blocks.pool_rows = pool_rows
        assert same(in_memory, fit(MLPClassifier(**IN_ORDER), blocks)), pool_rows
    assert os.listdir(tmp_path) == [p for p in os.listdir(tmp_path) if "." in p]
    np.testing.assert_allclose(
        in_memory.predict_proba(blocks), in_memory.predict_proba(X), rtol=1e-5
    )


KINDS = {
    "regressor": (MLPRegressor, X[:, 1] * 3, {}),
    "outputs": (MLPRegressor, X[:, 1:3], {}),
    "one column": (MLPRegressor, X[:, 1:2], {}),
    "quantiles": (MLPRegressor, X[:, 1], {"loss": "quantile", "quantile": [0.1, 0.9]}),
    "poisson": (MLPRegressor, np.round(np.exp(X[:, 1])), {"loss": "poisson"}),
    "strings": (MLPClassifier, np.array(["no", "yes", "maybe"])[y], {}),
    "objects": (MLPClassifier, np.array(["no", "yes", "maybe"], object)[y], {}),
    "two classes": (MLPClassifier, y == 1, {}),
    "labels": (MLPClassifier, (X[:, :3] > 0).astype(int), {}),
    "float64": (MLPClassifier, y, {"dtype": "float64"}),
    "squared error": (MLPClassifier, y, {"loss": "squared_error"}),
    "class weights": (MLPClassifier, y, {"class_weight": {0: 2.0, 1: 0.5, 2: 1.0}}),
    "dropout": (MLPClassifier, y, {"dropout": 0.3}),
    "batch norm": (MLPClassifier, y, {"batch_norm": True}),
    "sgd": (MLPClassifier, y, {"solver": "sgd", "learning_rate": "invscaling"}),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_target_gives_the_same_bits(kind, weighted):
    cls, targets, params = KINDS[kind]
    weights = w if weighted else None
    if kind == "batch norm" and weighted:
        # The pools' batches are cut otherwise where rows without weight are left out.
        weights = np.where(w == 0, 1, w)
    in_memory = fit(cls(**IN_ORDER, **params), X, targets.squeeze(), weights)
    blocks = Blocks(X, targets, weights, pool_rows=130)
    model = fit(cls(**IN_ORDER, **params), blocks)
    assert same(in_memory, model)
    for attribute in ("classes_", "n_features_in_", "loss_curve_", "t_"):
        mine, theirs = (getattr(m, attribute, None) for m in (model, in_memory))
        np.testing.assert_array_equal(mine, theirs)
        assert np.asarray(mine).dtype == np.asarray(theirs).dtype
    np.testing.assert_array_equal(model.predict(blocks), in_memory.predict(X))


@pytest.mark.parametrize("weighted", [False, True])
def test_balanced_classes_are_weighed_as_scikit_learn_does(weighted):
    weights = w if weighted else np.ones(N_ROWS)
    blocks = Blocks(X, y, weights if weighted else None, pool_rows=130)
    model = fit(MLPClassifier(**IN_ORDER, class_weight="balanced"), blocks)
    balanced = compute_sample_weight("balanced", y).astype(np.float32)
    other = fit(MLPClassifier(**IN_ORDER), X, y, balanced * weights)
    np.testing.assert_allclose(parameters(model), parameters(other), rtol=1e-5)


def test_rows_without_weight_are_left_out_of_normalised_batches():
    """Each pool still ends with a whole batch."""
    in_memory = fit(MLPClassifier(**IN_ORDER, batch_norm=True), X, y, w)
    for pool_rows in (48, 130, 499):
        blocks = Blocks(X, y, w, pool_rows=pool_rows)
        model = fit(MLPClassifier(**IN_ORDER, batch_norm=True), blocks)
        assert same(model, in_memory)


def test_a_last_batch_of_one_row_is_joined_as_in_memory():
    rows = slice(48 * 5 + 1)
    params = {**IN_ORDER, "batch_norm": True}
    in_memory = fit(MLPClassifier(**params), X[rows], y[rows])
    for pool_rows in (48, 96, 120, 241):
        blocks = Blocks(X[rows], y[rows], pool_rows=pool_rows)
        assert same(fit(MLPClassifier(**params), blocks), in_memory)


def test_given_classes_may_not_occur():
    blocks = Blocks(X, y, classes=[0, 1, 2, 7])
    model = fit(MLPClassifier(**SMALL, class_weight="balanced"), blocks)
    assert model.classes_.tolist() == [0, 1, 2, 7]
    assert model.predict_proba(X).shape == (N_ROWS, 4)


@pytest.mark.parametrize("dtype", [">f4", "float16", "int8", "bool", "uint64"])
def test_numbers_of_every_type_are_read_as_in_memory(dtype, tmp_path):
    numbers = np.abs(np.round(X)).astype(dtype)
    in_memory = fit(MLPClassifier(**IN_ORDER), numbers, y)
    path = saved(tmp_path, "X", numbers)
    for spill in (None, tmp_path):
        model = fit(MLPClassifier(**IN_ORDER), Blocks(path, y, spill=spill))
        assert same(in_memory, model)


def test_columns_of_an_array_are_chosen_by_number():
    in_memory = fit(MLPClassifier(**IN_ORDER), X[:, [2, 0]], y)
    assert same(in_memory, fit(MLPClassifier(**IN_ORDER), Blocks(X, y, columns=[2, 0])))


def test_names_are_learnt_and_must_be_the_same():
    model = fit(MLPClassifier(**SMALL), Blocks(frame(), **COLUMNS))
    assert model.feature_names_in_.tolist() == NAMES
    assert model.predict(frame()[NAMES]).shape == (N_ROWS,)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(Blocks(frame(), columns=NAMES[::-1]))
    with pytest.raises(ValueError, match=r"3 features.*expecting 4"):
        model.predict(Blocks(X[:, :3]))


# -- the order of the rows


def orders(pool_rows, seeds, source=None):
    """What each epoch has read: numbers of the rows, by pools."""
    source = np.arange(N_ROWS, dtype=float)[:, None] if source is None else source

    def encode(X, y, w):
        return X, y, w

    with Blocks(source, y, pool_rows=pool_rows).open() as stream:
        stream.scan(lambda block: None)
        rows = StreamRows(stream, encode, 48)
        for seed in seeds:
            order = SeededOrder(N_ROWS, seed=seed).rows()
            yield [data[0][chosen, 0] for data, chosen in rows.chunks(order)]


@pytest.mark.parametrize("pool_rows", [48, 130, N_ROWS])
def test_an_epoch_has_every_row_once_and_whole_batches(pool_rows):
    first, second, again = orders(pool_rows, [1, 2, 1])
    for pools in first, second:
        np.testing.assert_array_equal(np.sort(np.concatenate(pools)), range(N_ROWS))
        assert all(len(pool) % 48 == 0 for pool in pools[:-1])
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(again))
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))


def test_a_pool_mixes_blocks_from_all_over_the_file():
    """Of 500 rows in blocks of 4, a pool of 128 has rows of each quarter, mixed."""
    (pools,) = orders(4 * BLOCKS_OF_A_POOL, [3])
    quarters = np.floor(4 * pools[0] / N_ROWS)
    assert np.bincount(quarters.astype(int), minlength=4).min() > 5
    neighbours = np.abs(np.diff(pools[0])) == 1
    assert neighbours.mean() < 0.1


@pytest.mark.slow
def test_files_sorted_by_label_are_learnt_as_well_as_mixed_ones():
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    test = np.arange(len(labels)) % 4 == 0
    train = np.flatnonzero(~test)
    train = train[np.argsort(labels[train], kind="stable")]
    params = {"hidden_layer_sizes": (32,), "max_iter": 30, "batch_size": 32}

    def accuracy(*data):
        scores = [
            fit(MLPClassifier(**params, random_state=seed), *data).score(
                images[test], labels[test]
            )
            for seed in range(3)
        ]
        return np.mean(scores)

    in_memory = accuracy(images[train], labels[train])
    blocks = accuracy(Blocks(images[train], labels[train], pool_rows=256))
    assert blocks > in_memory - 0.005


def test_the_speed_of_the_source_changes_nothing():
    models = [
        fit(MLPClassifier(**SMALL), Blocks(Loader(X, y, seconds=s), pool_rows=280))
        for s in (0, 0.002)
    ]
    assert same(*models)


def test_every_number_of_threads_gives_the_same_bits():
    models = [
        fit(MLPClassifier(**SMALL, n_threads=n), Blocks(X, y, w, pool_rows=150))
        for n in (1, 2)
    ]
    assert same(*models)


def test_a_model_does_not_keep_the_order_of_the_rows():
    sizes = [
        len(pickle.dumps(fit(MLPClassifier(**SMALL), Blocks(X[:n], y[:n]))))
        for n in (N_ROWS, N_ROWS // 2)
    ]
    assert abs(sizes[0] - sizes[1]) < N_ROWS


# -- one fit and the next


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("source", ["paths", "iterable", "Parquet"])
def test_a_fit_goes_on_from_its_checkpoint_to_the_same_bits(source, shuffle, tmp_path):
    blocks = SOURCES[source](tmp_path)
    blocks.pool_rows = 280
    params = {**SMALL, "shuffle": shuffle, "dropout": 0.2, "max_iter": 5}
    whole = fit(MLPClassifier(**params), blocks, X_val=blocks)
    path = tmp_path / "fit.safetensors"

    def stop(epoch, logs):
        return epoch == 2

    model = MLPClassifier(**params, callbacks=[Checkpoint(path), stop])
    fit(model, blocks, X_val=blocks)
    assert model.n_iter_ == 3
    model.set_params(callbacks=None)
    fit(model, blocks, X_val=blocks, resume_from=path)
    assert same(model, whole)
    assert model.validation_scores_ == whole.validation_scores_
    blocks.pool_rows = 281
    with pytest.raises(ValueError, match="other data"):
        fit(model, blocks, X_val=blocks, resume_from=path)


def test_a_checkpoint_is_of_these_rows(tmp_path):
    path = tmp_path / "fit.safetensors"
    model = MLPClassifier(**SMALL, callbacks=[Checkpoint(path)])
    fit(model, Blocks(X, y))
    for other in (Blocks(X + 1, y), Blocks(X, y[::-1].copy()), Blocks(X, y, w)):
        with pytest.raises(ValueError, match="other data"):
            fit(model, other, resume_from=path)


def test_warm_starts_go_from_blocks_to_arrays_and_back():
    for first, second in [
        ([Blocks(X, y, pool_rows=150)], [X, y]),
        ([X, y], [Blocks(X, y, pool_rows=150)]),
    ]:
        model = MLPClassifier(**SMALL, warm_start=True)
        fit(model, *first)
        fit(model, *second)
        assert model.t_ == 6 * N_ROWS
        assert len(model.loss_curve_) == 6


def test_warm_starts_in_order_are_one_fit():
    model = MLPClassifier(**IN_ORDER, warm_start=True)
    fit(model, Blocks(X, y, pool_rows=150))
    fit(model, Blocks(X, y, pool_rows=150))
    assert same(model, fit(MLPClassifier(**{**IN_ORDER, "max_iter": 6}), X, y))


def test_a_model_of_blocks_is_saved_and_loaded(tmp_path):
    model = fit(MLPClassifier(**SMALL), Blocks(X, y))
    model.save(tmp_path / "model")
    assert same(load(tmp_path / "model"), model)
    assert same(pickle.loads(pickle.dumps(model)), model)


# -- rows to judge by

VALIDATED = {
    "plain": {},
    "early stopping": {"early_stopping": True, "max_iter": 30, "n_iter_no_change": 3},
    "scorer": {"scoring": "neg_log_loss", "early_stopping": True},
}


@pytest.mark.parametrize("case", VALIDATED)
@pytest.mark.parametrize("trains_on", ["arrays", "blocks"])
def test_blocks_judge_as_arrays_do(case, trains_on):
    train, held = slice(0, None, 2), slice(1, None, 2)
    data = [X[train], y[train]]
    data = [Blocks(*data, pool_rows=150)] if trains_on == "blocks" else data
    params = {**SMALL, "dtype": "float64", **VALIDATED[case]}
    arrays = fit(
        MLPClassifier(**params),
        *data,
        X_val=X[held],
        y_val=y[held],
        sample_weight_val=w[held],
    )
    blocks = Blocks(X[held], y[held], w[held], pool_rows=60)
    model = fit(MLPClassifier(**params), *data, X_val=blocks)
    assert same(model, arrays)
    for name in ("validation_score", "validation_loss"):
        np.testing.assert_allclose(
            model.history_[name], arrays.history_[name], rtol=1e-12
        )


def test_callbacks_see_the_model_under_way():
    seen = []

    class Watcher:
        def on_epoch_end(self, estimator, epoch, logs):
            seen.append(estimator.score(Blocks(X), y))

    model = fit(MLPClassifier(**SMALL, callbacks=[Watcher()]), Blocks(X, y))
    assert len(seen) == 3
    assert seen[-1] == model.score(X, y)


# -- what is refused, and what stays behind


def generator():
    yield X, y


BROKEN = X.copy()
BROKEN[417, 2] = np.nan
INFINITE = X.astype(float)
INFINITE[3, 1] = 1e300
REFUSED = {
    "y beside": (lambda: Blocks(X, y), {"y": y}, "give y and sample_weight to them"),
    "no y": (lambda: Blocks(X), {}, "needs targets"),
    "no y in batches": (lambda: Blocks([(X,)]), {}, "needs targets"),
    "short y": (lambda: Blocks(X, y[:-1]), {}, "500 rows"),
    "no rows": (lambda: Blocks(X[:0], y[:0]), {}, "no rows"),
    "no batches": (lambda: Blocks([]), {}, "no rows|no batches"),
    "1-D": (lambda: Blocks(y, y), {}, "one feature or more"),
    "sparse": (lambda: Blocks(sparse(), y), {}, "dense"),
    "sparse batches": (lambda: Blocks([(sparse(), y)]), {}, "dense"),
    "strings": (lambda: Blocks(X.astype(str), y), {}, "integers or floats"),
    "NaN": (lambda: Blocks(BROKEN, y), {}, "NaN, in row 417, column 2"),
    "too large": (
        lambda: Blocks(INFINITE, y),
        {"dtype": "float32"},
        "too large for .*float32.*row 3, column 1",
    ),
    "NaN in y": (lambda: Blocks(X, np.where(y == 1, np.nan, y)), {}, "y contains NaN"),
    "continuous": (lambda: Blocks(X, X[:, 0]), {}, "Unknown label"),
    "negative weight": (lambda: Blocks(X, y, -w), {}, "non-negative"),
    "no weight": (lambda: Blocks(X, y, 0 * w), {}, "at least one non-zero"),
    "weights of others": (lambda: Blocks(X, y, w[1:]), {}, "sample_weight"),
    "class not given": (lambda: Blocks(X, y, classes=[0, 1]), {}, "not in classes"),
    "pool": (lambda: Blocks(X, y, pool_rows=0), {}, "pool_rows"),
    "batch": (lambda: Blocks(X, y, pool_rows=40), {}, "more than a pool holds"),
    "full batch": (lambda: Blocks(X, y, pool_rows=99), {"batch_size": "full"}, "pool"),
    "held out": (lambda: Blocks(X, y), {"early_stopping": True}, "X_val"),
    "ending": (lambda: Blocks("X.csv", y), {}, "pyarrow.dataset"),
    "column": (lambda: Blocks(frame(), "z"), {}, "no column 'z'"),
    "column of array": (lambda: Blocks(X, "label"), {}, "named columns"),
    "category": (lambda: Blocks(with_category(), "y"), {}, "'e' holds category.*One"),
    "batches and y": (lambda: Blocks([(X, y)], y), {}, "of batches"),
    "parts": (lambda: Blocks([(X, y, w, w)]), {}, "got 4 parts"),
    "batch's y": (lambda: Blocks([(X, y[1:])]), {}, "y of a batch"),
    "batch's width": (lambda: Blocks([(X, y), (X[:, 1:], y)]), {}, "3 features"),
    "labels weighed": (
        lambda: Blocks(X, np.stack([y > 0, y > 1], axis=1)),
        {"class_weight": "balanced"},
        "sample_weight",
    ),
    **{
        solver: (lambda: Blocks(X, y), {"solver": solver}, "all rows in memory")
        for solver in FULL_BATCH_SOLVERS
    },
}


def sparse():
    return pytest.importorskip("scipy.sparse").csr_array(X)


def with_category():
    return frame().assign(e=pd.Categorical(y))


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trained_on_is_refused_and_nothing_changes(case):
    make, params, message = REFUSED[case]
    params = dict(params)
    data = {"y": params.pop("y")} if "y" in params else {}
    model = fit(MLPClassifier(**SMALL), X, y)
    before, kept = parameters(model), vars(model).copy()
    model.set_params(**params)
    with pytest.raises(ValueError, match=message):
        fit(model, make(), **data)
    np.testing.assert_array_equal(parameters(model), before)
    assert vars(model).keys() == kept.keys()
    assert not [t for t in threading.enumerate() if "fastmlp-reader" in t.name]


@pytest.mark.parametrize("source", [generator(), 5], ids=["iterator", "number"])
def test_sources_of_another_kind_are_type_errors(source):
    with pytest.raises(TypeError, match=r"iterator|len and slices"):
        fit(MLPClassifier(**SMALL), Blocks(source, y))


def test_what_needs_rows_in_memory_says_so():
    model, blocks = fit(MLPClassifier(**SMALL), X, y), Blocks(X, y)
    for use in (
        lambda: model.partial_fit(blocks, y),
        lambda: model.hidden_activations(blocks),
        lambda: model.input_gradients(blocks),
    ):
        with pytest.raises(TypeError, match="an array in memory"):
            use()


def test_an_iterable_that_changes_is_refused():
    class Once(Loader):
        n_times = 0

        def __iter__(self):
            self.n_times += 1
            return super().__iter__() if self.n_times < 4 else iter([(X, y)])

    with pytest.raises(ValueError, match="must start again"):
        fit(MLPClassifier(**SMALL), Blocks(Once(X, y)))


def test_labels_that_were_not_there_at_first_are_refused():
    class Growing(Loader):
        def __iter__(self):
            yield from super().__iter__()
            self.arrays = X, y + 1

    with pytest.raises(ValueError, match="classes not in"):
        fit(MLPClassifier(**SMALL), Blocks(Growing(X, y)))


def test_few_large_blocks_are_warned_about(tmp_path):
    blocks = Blocks(list(Loader(X, y, size=100)), pool_rows=200)
    with unconverged(), pytest.warns(UserWarning, match="A block .* 100 rows.*spill"):
        MLPClassifier(**SMALL).fit(blocks)


@pytest.mark.parametrize("place", ["first pass", "training", "callback"])
def test_what_was_spilled_is_removed_after_an_error(place, tmp_path):
    def fail(epoch, logs):
        assert os.listdir(tmp_path)
        raise RuntimeError("injected")

    class Failing(Loader):
        def __iter__(self):
            yield from super().__iter__()
            raise RuntimeError("injected")

    rows = Failing(X, y) if place == "first pass" else Loader(X, y)
    if place == "training":
        rows = Loader(BROKEN, y)
    model = MLPClassifier(**SMALL, callbacks=[fail] if place == "callback" else None)
    with pytest.raises((RuntimeError, ValueError)):
        fit(model, Blocks(rows, spill=tmp_path))
    assert os.listdir(tmp_path) == []
    assert not hasattr(model, "coefs_")


def test_files_are_closed(tmp_path):
    blocks = Blocks(saved(tmp_path, "X", X), saved(tmp_path, "y", y))
    model = fit(MLPClassifier(**SMALL), blocks, X_val=blocks)
    model.predict(blocks)
    with pytest.raises(ValueError, match="Unknown label"):
        fit(model, Blocks(blocks.source, X[:, 0]))
    gc.collect()  # a file that was left open warns, and warnings are errors
    folder = "/proc/self/fd"
    if os.path.isdir(folder):
        files = [os.path.realpath(f"{folder}/{n}") for n in os.listdir(folder)]
        assert not [f for f in files if f.startswith(str(tmp_path))]


def test_archives_and_objects_are_no_rows(tmp_path):
    np.savez(tmp_path / "X.npz", X=X)
    (tmp_path / "X.npz").rename(tmp_path / "archive.npy")
    np.save(tmp_path / "objects.npy", np.array([{}, None]), allow_pickle=True)
    with pytest.raises(ValueError, match="archive of arrays"):
        open_array(tmp_path / "archive.npy")
    with pytest.raises(ValueError, match="cannot be read by rows"):
        open_array(tmp_path / "objects.npy")
    with pytest.raises(FileNotFoundError):
        open_array(tmp_path / "none.npy")


def test_slices_of_a_file_are_those_of_the_array(tmp_path):
    file = open_array(saved(tmp_path, "X", X))
    out = np.empty((5, N_FEATURES), X.dtype)
    file[20:90][3:8].read_into(out)
    np.testing.assert_array_equal(out, X[23:28])
    np.testing.assert_array_equal(file[490:600], X[490:])
    assert np.asarray(file[7:7]).shape == (0, N_FEATURES)
    file.close()


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system is not told")
def test_the_disk_is_told_of_the_blocks_that_come(tmp_path, monkeypatch):
    """Each but the first ones is announced once, before it is read."""
    events = []
    announce, read_into = ArrayFile.announce, ArrayFile.read_into

    def announced(file):
        begin, n_bytes = file._offset, file._row_bytes * len(file)
        told = []
        monkeypatch.setattr(os, "posix_fadvise", lambda _, *asked: told.append(asked))
        announce(file)
        assert told == [(begin, n_bytes, os.POSIX_FADV_WILLNEED)]
        events.append(("told", begin))

    def read(file, out):
        if len(file.shape) == 2:
            events.append(("read", file._offset))
        read_into(file, out)

    path = saved(tmp_path, "X", X)
    with Blocks(path, y, pool_rows=64).open() as stream:
        stream.scan(lambda block: None)
        rows = StreamRows(stream, lambda X, y, w: (X, y, w), 48)
        monkeypatch.setattr(ArrayFile, "announce", announced)
        monkeypatch.setattr(ArrayFile, "read_into", read)
        for _ in rows.chunks(np.array([3])):
            pass
    reads = [where for what, where in events if what == "read"]
    told = [where for what, where in events if what == "told"]
    assert len(reads) == N_ROWS // 2
    assert told == reads[BLOCKS_AHEAD:]
    for where in told:
        assert events.index(("told", where)) < events.index(("read", where))


def test_a_file_that_becomes_shorter_is_an_error(tmp_path):
    path = saved(tmp_path, "X", X)
    array = open_array(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(OSError, match="shorter"):
        np.asarray(array[:])
    array.close()


# -- memory


def test_a_map_larger_than_memory_names_blocks(tmp_path, monkeypatch):
    mapped = np.load(saved(tmp_path, "X", X), mmap_mode="r")
    monkeypatch.setattr(
        fastmlp.estimators._streams, "read_memory", lambda: mapped.nbytes - 1
    )
    with unconverged(), pytest.warns(UserWarning, match="Blocks"):
        MLPClassifier(**SMALL).fit(mapped, y)
    fit(MLPClassifier(**IN_ORDER), mapped, y)  # rows are read in order: no warning
    monkeypatch.setattr(
        fastmlp.estimators._streams, "read_memory", lambda: mapped.nbytes
    )
    fit(MLPClassifier(**SMALL), mapped, y)


def test_memory_is_the_machines_or_the_groups(tmp_path):
    machine = read_memory(str(tmp_path))
    assert machine is None or machine > 10**8
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/mine").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/mine\n")
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    (tmp_path / "sys/fs/cgroup/mine/memory.max").write_text("1048576\n")
    read_memory.cache_clear()
    assert read_memory(str(tmp_path)) == 1048576
    read_memory.cache_clear()
