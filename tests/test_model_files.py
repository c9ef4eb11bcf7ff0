"""Model files: what comes back, what is refused, and what a crash leaves."""

import hashlib
import json
import random
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from fits import fit, iris
from saving import run_saving
from sklearn.base import clone

import fastmlp
from fastmlp import (
    CNNClassifier,
    MLPClassifier,
    MLPRegressor,
    ModelFileError,
    Network,
    load,
    model_files,
)
from fastmlp.model_files import build_model, from_bytes, refusing
from fastmlp.recipe import FIRST_ORDER_SOLVERS, FULL_BATCH_SOLVERS

SMALL = {"hidden_layer_sizes": (4, 3), "random_state": 3, "max_iter": 3}
X, y = iris()
TWO = y[:100] > 0
NAMES = np.array(["setosa", "versicolor", "virginica"])
MULTILABEL = np.stack([y > 0, y > 1], axis=1).astype(int)

CLASSIFIERS = {
    **{solver: {"solver": solver} for solver in FIRST_ORDER_SOLVERS},
    **{solver: {"solver": solver} for solver in FULL_BATCH_SOLVERS},
    "lm": {"solver": "lm", "loss": "squared_error"},
    "early stopping": {"early_stopping": True, "scoring": "neg_log_loss"},
    "dropout": {"dropout": [0.2, 0.0], "solver": "adamw"},
    "batch norm": {"batch_norm": True, "activation": ["gelu", "selu"]},
    "squared error": {"loss": "squared_error"},
    "class weight": {"class_weight": {0: 1, 1: 2.5, 2: np.float64(1)}},
    "float32": {"dtype": np.float32, "grad_clip_norm": 1.0},
    "warm": {"warm_start": True, "n_iter_no_change": np.inf},
    "schedule": {"learning_rate": "cosine", "warmup_epochs": 2},
}
REGRESSORS = {
    "default": {},
    "huber": {"loss": "huber", "huber_delta": 0.3},
    "quantiles": {"loss": "quantile", "quantile": (0.1, 0.5, 0.9)},
    "poisson": {"loss": "poisson"},
    "no hidden layer": {"hidden_layer_sizes": []},
}
TARGETS = {
    "bool": (X[:100], TWO),
    "strings": (X, NAMES[y]),
    "objects": (X, NAMES[y].astype(object)),
    "uint8": (X, y.astype(np.uint8)),
    "floats": (X, y.astype(float)),
    "one class": (X[:50], y[:50]),
    "multilabel": (X, MULTILABEL),
    "sparse": (scipy.sparse.csr_matrix(X), y),
    "frame": (pd.DataFrame(X, columns=list("abcd")), y),
}


def again(model, folder):
    path = folder / "model.safetensors"
    model.save(path)
    return load(path)


def assert_same(mine, other):
    """Every attribute, and every array of the state bit by bit."""
    assert type(mine) is type(other)
    assert vars(mine).keys() == vars(other).keys()
    for name, value in vars(mine).items():
        if name == "_state":
            assert_same_state(value, other._state)
        elif name == "_label_binarizer":
            assert vars(value).keys() == vars(other._label_binarizer).keys()
            assert value.get_params() == other._label_binarizer.get_params()
        elif name not in ("dtype", "random_state"):
            assert type(getattr(other, name)) is type(value), name
            np.testing.assert_equal(getattr(other, name), value, name)


def assert_same_state(mine, other):
    mine, other = mine.to_arrays(), other.to_arrays()
    assert mine.keys() == other.keys()
    for name in mine.keys() - {"history.seconds"}:
        assert mine[name].dtype == other[name].dtype
        assert mine[name].tobytes() == other[name].tobytes(), name


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("settings", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_a_classifier_comes_back(settings, tmp_path):
    model = fit(MLPClassifier(**{**SMALL, **settings}), X, y)
    loaded = again(model, tmp_path)
    assert_same(model, loaded)
    assert (loaded.predict_proba(X) == model.predict_proba(X)).all()
    if settings.get("early_stopping") or model.solver in FULL_BATCH_SOLVERS:
        return
    assert_same_state(model.partial_fit(X, y)._state, loaded.partial_fit(X, y)._state)


@pytest.mark.parametrize("settings", REGRESSORS.values(), ids=REGRESSORS)
def test_a_regressor_comes_back(settings, tmp_path):
    model = fit(MLPRegressor(**{**SMALL, **settings}), X, y)
    loaded = again(model, tmp_path)
    assert_same(model, loaded)
    assert (loaded.predict(X) == model.predict(X)).all()


@pytest.mark.parametrize("data", TARGETS.values(), ids=TARGETS)
def test_targets_of_every_kind_come_back(data, tmp_path):
    model = fit(MLPClassifier(**SMALL), *data)
    loaded = again(model, tmp_path)
    assert_same(model, loaded)
    assert loaded.classes_.dtype == model.classes_.dtype
    assert (loaded.predict(data[0]) == model.predict(data[0])).all()


def test_what_users_have_set_comes_back(tmp_path):
    model = fit(MLPRegressor(**SMALL), X, y)
    model.coefs_ = [W * 2 for W in model.coefs_]
    loaded = again(model, tmp_path)
    assert (loaded.predict(X) == model.predict(X)).all()
    by_hand = MLPRegressor(hidden_layer_sizes=())
    by_hand.coefs_, by_hand.intercepts_ = [np.ones((4, 1))], [np.zeros(1)]
    by_hand.n_layers_, by_hand.n_outputs_ = 2, 1
    by_hand.out_activation_, by_hand.n_features_in_ = "identity", 4
    assert (again(by_hand, tmp_path).predict(X) == by_hand.predict(X)).all()


def test_parameters_alone_come_back(tmp_path):
    model = MLPRegressor(hidden_layer_sizes=np.array([3, 2]), random_state=None)
    loaded = again(model, tmp_path)
    assert vars(loaded).keys() == vars(model).keys()
    stream = np.random.RandomState(5)
    loaded = again(MLPRegressor(random_state=stream), tmp_path)
    assert loaded.random_state.rand() == stream.rand()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_network_comes_back(dtype, tmp_path):
    network = Network([3, 5, 2], activation="mish", dtype=dtype, batch_norm=True)
    path = tmp_path / "network"
    network.save(path)
    for loaded in (load(path), Network.load(path)):
        assert loaded.settings == network.settings
        assert loaded.params.tobytes() == network.params.tobytes()
        assert loaded.stats.tobytes() == network.stats.tobytes()
        assert loaded.params.ctypes.data % 64 == 0
    MLPRegressor().save(path)
    with pytest.raises(
        ModelFileError,
        match=r"MLPRegressor', not a Network: read it with fastmlp\.load",
    ):
        Network.load(path)


def test_code_is_named_and_left_out(tmp_path):
    model = MLPRegressor(
        **SMALL,
        solver="sgd",
        callbacks=[lambda epoch, logs: None],
        learning_rate=lambda epoch: 0.1,
        momentum=fastmlp.schedules.OfProgress(lambda t: t / 2),
        scoring=lambda estimator, X, y: 0.0,
    )
    fit(model, X, y)
    model.remark_ = "mine"
    names = "callbacks, learning_rate, momentum, scoring, remark_"
    with pytest.warns(UserWarning, match=f"not saved: {names}") as caught:
        loaded = again(model, tmp_path)
    assert caught[0].filename == __file__
    assert loaded.learning_rate == "constant"
    assert loaded.callbacks is None
    assert (loaded.predict(X) == model.predict(X)).all()


def test_the_same_model_is_the_same_file(tmp_path):
    model = fit(MLPClassifier(**SMALL), X, y)
    for name in "ab":
        model.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_any_reader_of_safetensors_can_open_it(tmp_path):
    from safetensors.numpy import load_file

    model = fit(MLPRegressor(**SMALL), X, y)
    model.save(tmp_path / "model")
    tensors = load_file(tmp_path / "model")
    assert (tensors["state.network.params"] == model._state.network.params).all()


class Sub(MLPRegressor):
    pass


def test_what_cannot_be_stored_is_refused(tmp_path):
    path = tmp_path / "model"
    with pytest.raises(ModelFileError, match="subclass"):
        Sub().save(path)
    with pytest.raises(ModelFileError, match="alpha"):
        MLPRegressor(alpha=-1).save(path)
    with pytest.raises(ModelFileError, match=r"hidden_layer_sizes is a set"):
        MLPRegressor(hidden_layer_sizes={3}).save(path)
    network = Network([2, 1])
    network.params[0] = np.nan
    with pytest.raises(ModelFileError, match="not finite"):
        network.save(path)
    assert not path.exists()


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    Network([2, 1]).save(tmp_path / "network")
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (Network([2, 1]).save, load):
        with pytest.raises(ImportError, match=r"pip install 'fastmlp\[safetensors\]'"):
            call(tmp_path / "network")


# -- damage


def test_every_damage_to_a_file_is_seen(tmp_path):
    """Every truncation, and three other values of every byte."""
    path = tmp_path / "network"
    Network([2, 2, 1], random_state=0).save(path)
    data = path.read_bytes()
    damaged = [data[:n] for n in range(len(data))]
    damaged += [
        data[:i] + bytes([data[i] ^ flip]) + data[i + 1 :]
        for i in range(len(data))
        for flip in (1, 32, 255)
    ]
    for content in [*damaged, data + b" "]:
        with pytest.raises(ModelFileError):
            from_bytes(content)
    for content in damaged[::29]:
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"network' cannot be loaded"):
            load(path)


def test_every_damage_to_an_estimators_file_is_seen(tmp_path):
    path = tmp_path / "model"
    fit(MLPClassifier(**SMALL, early_stopping=True), X, y).save(path)
    data = bytearray(path.read_bytes())
    for i in range(len(data)):
        flipped = bytes([data[i] ^ random.Random(i).randint(1, 255)])
        with pytest.raises(ModelFileError):
            from_bytes(bytes(data[:i]) + flipped + bytes(data[i + 1 :]))
        if i % 7 == 0:
            with pytest.raises(ModelFileError):
                from_bytes(bytes(data[:i]))


def test_other_files_are_no_model_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
    for content in (b"", b"\0" * 32, b"{}" * 100, bytes(range(256)) * 40):
        (tmp_path / "other").write_bytes(content)
        with pytest.raises(ModelFileError):
            load(tmp_path / "other")


# -- files made up by somebody who knows the format


def sign(body):
    return body + hashlib.sha256(body).digest()


def taken_apart(path):
    return apart(path.read_bytes())


def apart(data):
    n_bytes = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + n_bytes]), data[8 + n_bytes : -32]


def put_together(header, tensors):
    text = json.dumps(header).encode()
    return sign(len(text).to_bytes(8, "little") + text + tensors)


def leaves(value, path=()):
    """Paths to every value in JSON, containers included."""
    yield path
    rows = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        rows = enumerate(value)
    for key, item in rows:
        yield from leaves(item, (*path, key))


def changed(value, path, new):
    if not path:
        return new
    twin = value.copy()
    twin[path[0]] = changed(value[path[0]], path[1:], new)
    return twin


ODD = (
    *(None, True, -1, 0, 7, 2**62, 10**30, 0.5, float("nan"), "", "x", "relu"),
    *([], [1], {}, {"array": "x"}, {"dtype": "O"}, {"array": "state.network.params"}),
    {"values": ["<U1000000000000", ["a"]]},
)


def try_out(content):
    """It is refused, or it is a model that can be used."""
    try:
        with refusing("made up"):
            model = build_model(*from_bytes(content))
    except ModelFileError as error:
        return error
    if hasattr(model, "coefs_"):
        model.predict(X)
    return None


OF_IMAGES = {"input_shape": (4, 1), "conv_layers": ((2, 3), (3, 2)), "pool_size": 2}
MADE_UP = {
    "MLP": MLPClassifier(**SMALL, early_stopping=True, batch_norm=True),
    "CNN": CNNClassifier(**SMALL, **OF_IMAGES, batch_norm=True),
}


@pytest.mark.parametrize("model", MADE_UP.values(), ids=MADE_UP)
@pytest.mark.parametrize("part", ["metadata", "state"])
def test_every_value_of_a_made_up_file_is_looked_at(part, model, tmp_path):
    path = tmp_path / "model"
    fit(clone(model), X, y).save(path)
    header, tensors = taken_apart(path)
    if part == "metadata":
        facts = json.loads(header["__metadata__"]["fastmlp"])
    else:
        begin, end = header["state.meta"]["data_offsets"]
        facts = json.loads(tensors[begin:end])
    draw, n_refused, n_tried = random.Random(0), 0, 0
    for place in leaves(facts):
        for odd in draw.sample(ODD, 3):
            text = json.dumps(changed(facts, place, odd))
            if part == "metadata":
                metadata = {"fastmlp": text}
                content = put_together({**header, "__metadata__": metadata}, tensors)
            else:
                content = with_state(header, tensors, text.encode())
            n_tried += 1
            n_refused += try_out(content) is not None
    assert n_refused > 0.6 * n_tried > 100


def test_a_type_that_no_network_has_is_refused(tmp_path):
    path = tmp_path / "model"
    fit(MLPClassifier(**SMALL), X, y).save(path)
    header, tensors = taken_apart(path)
    text = json.dumps(json.loads(header["__metadata__"]["fastmlp"]))
    text = text.replace('["dtype", null]', '["dtype", {"dtype": "O"}]')
    header["__metadata__"]["fastmlp"] = text
    assert "float32 or float64" in str(try_out(put_together(header, tensors)))


def with_state(header, tensors, text):
    """The file with another text of the state, whose length may differ."""
    begin, end = header["state.meta"]["data_offsets"]
    longer = len(text) - (end - begin)
    moved = {}
    for name, row in header.items():
        if name == "__metadata__":
            moved[name] = row
            continue
        first, last = row["data_offsets"]
        first, last = (first + longer * (first >= end), last + longer * (last >= end))
        shape = [len(text)] if name == "state.meta" else row["shape"]
        moved[name] = {**row, "shape": shape, "data_offsets": [first, last]}
    return put_together(moved, tensors[:begin] + text + tensors[end:])


def test_the_helper_makes_valid_files(tmp_path):
    path = tmp_path / "model"
    fit(MLPClassifier(**SMALL), X, y).save(path)
    header, tensors = taken_apart(path)
    begin, end = header["state.meta"]["data_offsets"]
    text = json.dumps(json.loads(tensors[begin:end])).encode() + b"  "
    assert try_out(put_together(header, tensors)) is None
    assert try_out(with_state(header, tensors, text)) is None


def test_sizes_are_compared_before_anything_is_allocated(tmp_path):
    path = tmp_path / "network"
    Network([2, 2, 1]).save(path)
    header, tensors = taken_apart(path)
    stored = header["__metadata__"]["fastmlp"]
    assert "[2, 2, 1]" in stored
    for sizes in ("[1000000, 1000000, 1]", "[4000000000, 4000000000]", "[]", "[2, -2]"):
        header["__metadata__"]["fastmlp"] = stored.replace("[2, 2, 1]", sizes)
        path.write_bytes(put_together(header, tensors))
        with pytest.raises(ModelFileError):
            load(path)


def test_another_format_is_refused(tmp_path):
    path = tmp_path / "network"
    Network([2, 2, 1]).save(path)
    header, tensors = taken_apart(path)
    stored = header["__metadata__"]["fastmlp"]
    header["__metadata__"]["fastmlp"] = stored.replace('"format": 1', '"format": 9')
    path.write_bytes(put_together(header, tensors))
    with pytest.raises(ModelFileError, match=r"format 9.* reads format 1"):
        load(path)


def test_a_stream_cannot_point_outside_of_its_buffer():
    from fastmlp.random_streams import stream_from

    for generator in (np.random.MT19937, np.random.Philox):
        state = np.random.RandomState(generator(0)).get_state(legacy=False)
        for place in (-1, 10**6):
            row = state["state"] if "pos" in state["state"] else state
            row["pos" if row is not state else "buffer_pos"] = place
            with pytest.raises(
                ValueError, match="not a valid state of one of NumPy's random"
            ):
                stream_from(state)
    with pytest.raises(ValueError, match="'seed'"):
        stream_from({**state, "bit_generator": "seed"})


# -- memory, crashes


def test_loading_takes_no_more_than_three_times_the_size(tmp_path):
    path = tmp_path / "model"
    big = MLPRegressor(hidden_layer_sizes=(400, 400), max_iter=1, early_stopping=True)
    fit(big, X, y).save(path)
    tracemalloc.start()
    load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * path.stat().st_size


def test_links_are_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "model")
    Network([2, 1]).save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert load(tmp_path / "model").layer_sizes == [2, 1]


needs_locks = pytest.mark.skipif(sys.platform == "win32", reason="has no such locks")


@needs_locks
def test_a_save_removes_what_killed_ones_have_left(tmp_path):
    """Nothing else, and not through a link."""
    path, token = tmp_path / "model", "0123456789abcdef"
    (tmp_path / f".model.{token}.tmp").write_bytes(b"half of a file")
    (tmp_path / ".model.fedcba9876543210.tmp").write_bytes(b"")
    other = [f".models.{token}.tmp", ".model.1.tmp", f".model.{token}x.tmp", "mine"]
    for name in other:
        (tmp_path / name).write_bytes(b"mine")
    link = tmp_path / ".model.00000000aaaaaaaa.tmp"
    link.symlink_to(tmp_path / "mine")
    Network([2, 1]).save(path)
    assert {p.name for p in tmp_path.iterdir()} == {"model", link.name, *other}


@needs_locks
def test_a_save_under_way_is_left_alone(tmp_path):
    """Of another process or thread: its lock tells."""
    path = tmp_path / "model"
    with model_files._open_beside(path) as (file, beside):
        Network([2, 1]).save(path)
        assert beside.exists()
        file.write(b"the other's")
        file.flush()
        beside.replace(path)
    assert path.read_bytes() == b"the other's"
    with pytest.raises(KeyError), model_files._open_beside(path):
        raise KeyError
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@needs_locks
def test_a_file_that_is_removed_before_it_is_locked_is_made_again(
    tmp_path, monkeypatch
):
    import fcntl

    flock, removed = fcntl.flock, []

    def remove_first(file, operation):
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].unlink()
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    Network([2, 1]).save(tmp_path / "model")
    assert len(removed) == 1
    assert load(tmp_path / "model").layer_sizes == [2, 1]


@pytest.mark.parametrize("name", ["split", "order"])
def test_streams_that_are_needed_later_are_looked_at(name, tmp_path):
    path = tmp_path / "model"
    fit(MLPClassifier(**SMALL, early_stopping=True), X, y).save(path)
    header, tensors = taken_apart(path)
    begin, end = header["state.meta"]["data_offsets"]
    state = json.loads(tensors[begin:end])
    stream = state["split"]["stream"] if name == "split" else None
    stream = stream or state["order"]["shuffles"][0][0]
    stream["state"]["pos"] = 10**6
    error = try_out(with_state(header, tensors, json.dumps(state).encode()))
    assert "not a valid state of one of NumPy" in str(error)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills by a signal")
@pytest.mark.parametrize("n_kills", [30, pytest.param(2000, marks=pytest.mark.soak)])
def test_a_killed_save_leaves_a_good_file(n_kills):
    assert run_saving("kill", n_kills) == n_kills


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no limits of this kind")
@pytest.mark.parametrize("step", [197, pytest.param(1, marks=pytest.mark.soak)])
def test_a_full_disk_leaves_the_old_file(step):
    assert run_saving("room", step) > 25
