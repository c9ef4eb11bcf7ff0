"""C sources, compiled and run, beside predict and predict_proba."""

import ctypes
import functools
import itertools
import shutil
import subprocess

import numpy as np
import pytest
from exporting import (
    HEADS,
    IMAGES,
    difference,
    fit,
    images_and_model,
    model,
    outputs,
    rows,
    targets,
)
from fits import iris
from numpy.testing import assert_array_equal
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, _kernels
from fastmlp.export import c as target

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow"]
WARNINGS += ["-Wdouble-promotion", "-std=c99"]
NUMBERS = itertools.count()
LABEL_TYPES = {"f": ctypes.c_double, "u": ctypes.c_uint64, "i": ctypes.c_int64}

needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="there is no gcc")


def compile_with(compiler, *arguments):
    command = [compiler, *WARNINGS, *map(str, arguments), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def load(*reports):
    """A library of those sources, which must be in one folder."""
    sources = [report.source for report in reports]
    # A name that was loaded before would be found in memory.
    library = sources[0].with_name(f"{next(NUMBERS)}.so")
    compile_with("gcc", "-shared", "-fPIC", *sources, "-o", library)
    return ctypes.CDLL(str(library))


class Compiled:
    """The functions that one source has in a library."""

    def __init__(self, library, report, est):
        self.compiled, self.name, self.est = library, report.source.stem, est
        header = report.header.read_text().split()
        self.n_outputs = int(header[header.index(f"{self.name.upper()}_N_OUTPUTS") + 1])
        self.dtype = np.float64 if "double" in header else np.float32

    def predict(self, X):
        """A row after the other; what is behind the output is not written to."""
        X = np.ascontiguousarray(X, dtype=self.dtype)
        out = np.full((len(X), self.n_outputs + 1), 7, self.dtype)
        for row, numbers in zip(X, out, strict=True):
            self.compiled[f"{self.name}_predict"](
                *(a.ctypes.data_as(ctypes.c_void_p) for a in (row, numbers))
            )
        assert_array_equal(out[:, -1], 7)
        return out[:, :-1]

    def classes(self, X):
        X = np.ascontiguousarray(X, dtype=self.dtype)
        found = self.compiled[f"{self.name}_class"]
        return [found(row.ctypes.data_as(ctypes.c_void_p)) for row in X]

    @functools.cached_property
    def labels(self):
        classes = self.est.classes_
        kind = LABEL_TYPES.get(classes.dtype.kind, ctypes.c_int64)
        if classes.dtype.kind in "UO":
            kind = ctypes.c_char_p
        if classes.dtype.kind == "u" and classes.dtype != np.uint64:
            kind = ctypes.c_int64
        array = (kind * len(classes)).in_dll(self.compiled, f"{self.name}_labels")
        return [x.decode() if isinstance(x, bytes) else x for x in array]


def check(est, tmp_path, tolerance, X, X_scaled=None, **settings):
    """Compile what to_c writes, and compare it on X with what est makes of X."""
    report = fastmlp.to_c(est, tmp_path / "net.c", **settings)
    compiled = Compiled(load(report), report, est)
    compare(compiled, tolerance, X, X_scaled)
    return report, compiled


def check_activations(head, tmp_path, tolerance, trained_in, X=None, **settings):
    """One library with a network of each activation."""
    X = rows(trained_in) if X is None else X
    networks = [model(head, name, trained_in) for name in _kernels.HIDDEN_ACTIVATIONS]
    names = [tmp_path / f"{name}.c" for name in _kernels.HIDDEN_ACTIVATIONS]
    reports = [
        fastmlp.to_c(est, name, **settings)
        for est, name in zip(networks, names, strict=True)
    ]
    library = load(*reports)
    for report, est in zip(reports, networks, strict=True):
        compare(Compiled(library, report, est), tolerance, X)


def compare(compiled, tolerance, X, X_scaled=None):
    est, X_scaled = compiled.est, X if X_scaled is None else X_scaled
    expected = outputs(est, X_scaled).reshape(len(X), -1)
    assert difference(compiled.predict(X), expected) <= tolerance
    if hasattr(est, "classes_") and est.predict(X_scaled).ndim == 1:
        found = np.array(compiled.labels)[compiled.classes(X)]
        assert_array_equal(found, est.predict(X_scaled))


def test_every_activation_has_a_formula():
    assert set(target.ACTIVATIONS) == set(_kernels.ACTIVATIONS)


@needs_gcc
@pytest.mark.parametrize("head", HEADS)
def test_predictions(head, tmp_path):
    check_activations(head, tmp_path, 1e-12, "float64", dtype="float64")


@needs_gcc
@pytest.mark.parametrize("head", HEADS)
def test_float_by_head(head, tmp_path):
    est = model(head, ["silu", "relu"], "float32", batch_norm=True)
    check(est, tmp_path, 1e-6, rows("float32"))


@needs_gcc
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_float_by_activation(dtype, tmp_path):
    check_activations("multiclass softmax", tmp_path, 1e-6, dtype, rows("float32"))
    for file in [*tmp_path.glob("*.c"), *tmp_path.glob("*.h")]:
        assert "double" not in file.read_text()


@needs_gcc
@pytest.mark.parametrize("slope", [0, 0.3, 1.7, 1e-5])
def test_slope_of_leaky_relu(slope, tmp_path):
    est = model("three outputs", "leaky_relu", negative_slope=slope)
    check(est, tmp_path, 1e-12, rows("float64"), dtype="float64")


@needs_gcc
@pytest.mark.parametrize("slope", [0, 0.3, 1e-5])
def test_slope_of_leaky_relu_as_float(slope, tmp_path):
    est = model("three outputs", "leaky_relu", "float32", negative_slope=slope)
    report, _ = check(est, tmp_path, 1e-6, rows("float32"))
    assert "double" not in report.source.read_text()


@needs_gcc
@pytest.mark.parametrize("level", [1e3, -1e3])
def test_far_out_nothing_overflows(level, tmp_path):
    X = np.full((2, 5), level, np.float32) * np.float32([[1], [100]])
    check_activations("squared_error identity", tmp_path, 1e-5, "float32", X)


@needs_gcc
@pytest.mark.parametrize("head", HEADS)
def test_batch_norm_is_folded(head, tmp_path):
    est = model(head, "gelu", batch_norm=True)
    report, _ = check(est, tmp_path, 1e-12, rows("float64"), dtype="float64")
    assert report.n_bytes == 8 * sum(a.size for a in [*est.coefs_, *est.intercepts_])


@needs_gcc
@pytest.mark.parametrize("sizes", [(), (3,), (9, 8, 7, 6)])
def test_any_number_of_layers(sizes, tmp_path):
    X = rows("float64")
    scaler = StandardScaler().fit(X)
    est = model("multiclass softmax", "tanh", hidden_layer_sizes=sizes)
    check(est, tmp_path, 1e-12, X, dtype="float64")
    scaled = {"X_scaled": scaler.transform(X), "scaler": scaler, "dtype": "float64"}
    check(est, tmp_path, 1e-12, X, **scaled)


LABELS = {
    "str": np.array(["a", "b??/c", 'é"\\\n%d']),
    "object": np.array(["a", "bcd", ""], dtype=object),
    "uint8": np.array([3, 7, 255], dtype=np.uint8),
    "uint64": np.array([0, 2, 2**64 - 1], dtype=np.uint64),
    "int64": np.array([-(2**63), 0, 2**63 - 1]),
    "float": np.array([-1.0, 0.0, 2.0**40]),
    "bool": np.array([False, True]),
    "two str": np.array(["no", "yes"]),
    "one": np.array([5]),
}


@needs_gcc
@pytest.mark.parametrize("kind", LABELS)
def test_labels(kind, tmp_path):
    labels = np.sort(LABELS[kind])
    X, index = iris()
    y = labels[np.minimum(index, len(labels) - 1)]
    est = MLPClassifier((8,), max_iter=20, random_state=0, learning_rate_init=0.05)
    _, compiled = check(fit(est, X, y), tmp_path, 1e-12, X, dtype="float64")
    assert compiled.labels == labels.tolist()


@needs_gcc
def test_outputs_that_sum_to_zero_are_shared_evenly(tmp_path):
    est = model("multiclass delta rule identity")
    est.intercepts_ = [*est.intercepts_[:-1], np.full(3, -1e3)]
    check(est, tmp_path, 1e-12, rows("float64"), dtype="float64")


SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    MinMaxScaler((-1, 2)),
    MaxAbsScaler(),
    RobustScaler(),
    RobustScaler(with_centering=False),
    RobustScaler(with_scaling=False),
]


@needs_gcc
@pytest.mark.parametrize("scaler", SCALERS, ids=repr)
def test_scalers(scaler, tmp_path):
    X = rows("float64") * [1, 20, 0.3, 4, 5] + [0, 100, -3, 2, 1]
    X_scaled = scaler.fit_transform(X)
    est = fit(
        MLPRegressor(hidden_layer_sizes=(6,), max_iter=3, random_state=0),
        X_scaled,
        targets(1),
    )
    settings = {"scaler": scaler, "dtype": "float64"}
    check(est, tmp_path, 1e-12, X, X_scaled, **settings)


# -- int8


@needs_gcc
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_int8_does_what_is_reported(dtype, norm, tmp_path):
    X, y = iris()
    scaler = StandardScaler().fit(X * 3 + 1)
    est = MLPClassifier((16, 9), max_iter=30, random_state=0, batch_norm=norm)
    fit(est, X, y)
    settings = {"dtype": dtype, "scaler": scaler, "int8": True}
    report = fastmlp.to_c(est, tmp_path / "net.c", X=X * 3 + 1, y=y, **settings)
    compiled = Compiled(load(report), report, est)
    found, expected = compiled.predict(X * 3 + 1), est.predict_proba(X)
    error = np.abs(found - expected).max()
    assert 1e-4 < error < 0.1
    assert report.max_error == pytest.approx(error, abs=1e-5)
    classes = np.array(compiled.classes(X * 3 + 1))
    assert report.agreement == np.mean(classes == est.predict(X)) > 0.9
    assert report.score == est.score(X, y)
    assert report.exported_score == np.mean(classes == y)
    real = np.dtype(dtype).itemsize
    n_weights, n_units = 4 * 16 + 16 * 9 + 9 * 3, 16 + 9 + 3
    assert report.n_bytes == n_weights + 2 * real * n_units + 2 * real * 4


def test_int8_takes_the_nearest_whole_numbers():
    rows = np.array([[1.0, -0.5, 0.004], [0.0, 0.0, 0.0], [1e-45, 2e-45, -1e-45]])
    whole, scales = target._quantize(rows, np.dtype(np.float32))
    assert_array_equal(whole[0], [127, -64, 1])
    assert_array_equal(whole[1], 0)
    assert scales[0] == np.float32(1 / 127)
    assert np.all(np.abs(whole * scales[:, None] - rows) <= np.abs(rows).max() / 254)


def test_the_report_of_float_is_that_of_its_rounding(tmp_path):
    est, X = model("multilabel logistic"), rows("float64")
    report = fastmlp.to_c(est, tmp_path / "net.c", X=X, y=targets("multilabel"))
    assert 0 < report.max_error < 1e-6
    assert report.agreement == 1
    assert report.score == report.exported_score == est.score(X, targets("multilabel"))
    regressor = model("three outputs")
    report = fastmlp.to_c(regressor, tmp_path / "net.c", "float64", X=X)
    assert report.max_error == 0
    assert report.agreement is report.score is report.exported_score is None


# -- other compilers and processors

MAIN = """
#include <stdio.h>
#include "net.h"
int main(void)
{
    float x[NET_N_INPUTS], out[NET_N_OUTPUTS];
    while (fread(x, sizeof(float), NET_N_INPUTS, stdin) == NET_N_INPUTS) {
        net_predict(x, out);
        fwrite(out, sizeof(float), NET_N_OUTPUTS, stdout);
    }
    return 0;
}
"""


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize(
    ("compiler", "emulator"),
    [
        (["gcc"], None),
        (["clang"], None),
        (["aarch64-linux-gnu-gcc", "-static"], "qemu-aarch64"),
    ],
)
def test_other_compilers_and_processors(compiler, emulator, int8, tmp_path):
    emulators = [shutil.which(f"{emulator}{end}") for end in ("", "-static")]
    run = [next(filter(None, emulators), emulator)] if emulator else []
    for program in [compiler[0], *run]:
        if not shutil.which(program):
            pytest.skip(f"there is no {program}")
    X = rows("float32")
    est = model("multiclass softmax", ["mish", "gelu"], "float32")
    settings = {"int8": int8, "X": X}
    report = fastmlp.to_c(est, tmp_path / "net.c", **settings)
    (tmp_path / "main.c").write_text(MAIN)
    sources = tmp_path / "main.c", report.source
    compile_with(*compiler, "-O2", *sources, "-o", tmp_path / "run")
    done = subprocess.run(
        [*run, str(tmp_path / "run")],
        input=X.tobytes(),
        capture_output=True,
        check=True,
    )
    found = np.frombuffer(done.stdout, np.float32).reshape(len(X), -1)
    tolerance = report.max_error + 1e-6
    assert difference(found, est.predict_proba(X)) <= tolerance


@pytest.mark.parametrize("int8", [False, True])
def test_a_compiler_for_microcontrollers(int8, tmp_path):
    """A Cortex-M4, whose hardware has float and no double: none is promoted."""
    compiler = "arm-none-eabi-gcc"
    if not shutil.which(compiler):
        pytest.skip(f"there is no {compiler}")
    est = model("multiclass softmax", ["mish", "gelu"], "float32")
    report = fastmlp.to_c(est, tmp_path / "net.c", int8=int8, X=rows("float32"))
    processor = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]
    compile_with(
        compiler, *processor, "-Os", "-c", report.source, "-o", tmp_path / "net.o"
    )


@pytest.mark.skipif(not shutil.which("g++"), reason="there is no g++")
def test_the_header_is_also_one_of_cplusplus(tmp_path):
    fastmlp.to_c(model("multiclass softmax"), tmp_path / "net.c")
    (tmp_path / "main.cpp").write_text('#include "net.h"\nint x = NET_N_CLASSES;\n')
    command = ["g++", "-Wall", "-Werror", "-c", tmp_path / "main.cpp"]
    subprocess.run([*command, "-o", tmp_path / "main.o"], check=True)


# -- errors: nothing is written


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"path": "net"}, ValueError, "must end in '.c'"),
        ({"path": "my-net.c"}, ValueError, "valid in C"),
        ({"path": "é.c"}, ValueError, "valid in C"),
        ({"dtype": "float16"}, ValueError, "float32 or float64"),
        ({"int8": True}, ValueError, "needs X"),
        ({"y": [1]}, ValueError, "needs X"),
        ({"scaler": Normalizer()}, TypeError, "got Normalizer"),
        ({"scaler": StandardScaler().fit([[1.0]])}, ValueError, "to 1 features"),
        ({"scaler": MinMaxScaler(clip=True).fit(np.eye(5))}, ValueError, "clip=True"),
        ({"est": StandardScaler()}, TypeError, "got StandardScaler"),
    ],
)
def test_bad_settings(settings, error, message, tmp_path):
    settings = {"est": model("binary logistic"), "path": "net.c", **settings}
    est, path = settings.pop("est"), settings.pop("path")
    with pytest.raises(error, match=message):
        fastmlp.to_c(est, tmp_path / path, **settings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_numbers_that_c_cannot_hold(value, tmp_path):
    est = model("squared_error identity")
    est.coefs_ = [np.where(np.eye(*w.shape) > 0, value, w) for w in est.coefs_]
    with pytest.raises(ValueError, match="not finite in float32"):
        fastmlp.to_c(est, tmp_path / "net.c")
    assert list(tmp_path.iterdir()) == []


@needs_gcc
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", IMAGES)
def test_images(name, dtype, batch_norm, tmp_path):
    X, est = images_and_model(name, batch_norm, dtype)
    check(est, tmp_path, {"float64": 1e-12, "float32": 1e-5}[dtype], X, dtype=dtype)


@needs_gcc
@pytest.mark.parametrize("name", IMAGES)
def test_kernels_as_whole_numbers(name, tmp_path):
    """The reported error is that of a network with the rounded kernels."""
    X, est = images_and_model(name, False, "float64")
    report = fastmlp.to_c(est, tmp_path / "net.c", "float64", int8=True, X=X)
    compiled = Compiled(load(report), report, est)
    error = np.abs(compiled.predict(X) - est.predict_proba(X)).max()
    assert 0 < error < 0.02
    assert report.max_error == pytest.approx(error, rel=1e-6)


@needs_gcc
def test_images_of_a_regressor(tmp_path):
    X, est = images_and_model("max", False, "float64", "regression")
    check(est, tmp_path, 1e-12, X, dtype="float64")
