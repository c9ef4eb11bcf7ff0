"""To C: a C99 file with the numbers in it, which needs no library but libm."""

from __future__ import annotations

import copy
import os
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp._version import __version__
from fastmlp.export._model import FittedModel, Layer, label_type, read, row_of
from fastmlp.settings import check_dtype

# C is written here for double; _in_type makes float of it. A row is what a function of
# z does, $param the number of σ; softmax's has n numbers z and changes them.
ACTIVATIONS: dict[str, str] = {
    "identity": "return z;",
    "logistic": "return 1.0 / (1.0 + exp(-z));",
    "tanh": "return tanh(z);",
    "relu": "return z < 0.0 ? 0.0 : z;",
    "leaky_relu": "return z < 0.0 ? $param * z : z;",
    "elu": "return z < 0.0 ? expm1(z) : z;",
    "selu": """\
return z < 0.0 ? 1.7580993408473766 * expm1(z) : 1.0507009873554805 * z;""",
    "softplus": "return (z < 0.0 ? 0.0 : z) + log1p(exp(-fabs(z)));",
    "silu": "return z / (1.0 + exp(-z));",
    "gelu": "return 0.5 * z * erfc(-0.7071067811865476 * z);",
    "gelu_tanh": """\
return 0.5 * z * (1.0 + tanh(0.7978845608028654 * z * (1.0 + 0.044715 * z * z)));""",
    # tanh(softplus(z)) = n / (n + d), with e^-|z| only.
    "mish": """\
const double e = exp(-fabs(z));
    const double n = z < 0.0 ? e * (e + 2.0) : 1.0 + 2.0 * e;
    const double d = z < 0.0 ? 2.0 : 2.0 * e * e;
    return z * (n / (n + d));""",
    "hardsigmoid": "return z < -3.0 ? 0.0 : z > 3.0 ? 1.0 : (z + 3.0) / 6.0;",
    "hardswish": "return z < -3.0 ? 0.0 : z > 3.0 ? z : z * (z + 3.0) / 6.0;",
    "exp": "return exp(z);",
    "softmax": """\
double largest = z[0], total = 0.0;
    for (int i = 1; i < n; i++)
        largest = z[i] > largest ? z[i] : largest;
    for (int i = 0; i < n; i++)
        total += z[i] = exp(z[i] - largest);
    for (int i = 0; i < n; i++)
        z[i] /= total;""",
}

DENSE = """\
/* z = W x + b, a row of W for each unit. */
static void dense(const double *x, int n_in, const double *w, const double *b,
                  int n_out, double *z)
{
    for (int j = 0; j < n_out; j++) {
        double sum = b[j];
        for (int i = 0; i < n_in; i++)
            sum += *w++ * x[i];
        z[j] = sum;
    }
}
"""

DENSE_INT8 = """\
/* z = s W x + b, a row of W and a scale s for each unit. */
static void dense(const double *x, int n_in, const int8_t *w, const double *s,
                  const double *b, int n_out, double *z)
{
    for (int j = 0; j < n_out; j++) {
        double sum = 0.0;
        for (int i = 0; i < n_in; i++)
            sum += *w++ * x[i];
        z[j] = s[j] * sum + b[j];
    }
}
"""

CONV = """\
/* z = K * x + b at every position of the kernel, a row of K for each filter; x is an
   image of h by w pixels with n channels, and zeros around it. */
static void conv(const double *x, int h, int w, int n, const $number *kernel,
                 ${scales}const double *b, int n_filters, int k_h, int k_w, int s_h,
                 int s_w, int top, int left, int out_h, int out_w, double *z)
{
    for (int i = 0; i < out_h * out_w; i++)
        for (int f = 0; f < n_filters; f++) {
            const $number *row = kernel + f * k_h * k_w * n;
            double sum = 0.0;
            for (int u = 0; u < k_h * k_w; u++) {
                const int p = i / out_w * s_h + u / k_w - top;
                const int q = i % out_w * s_w + u % k_w - left;
                if (p >= 0 && p < h && q >= 0 && q < w)
                    for (int c = 0; c < n; c++)
                        sum += row[u * n + c] * x[(p * w + q) * n + c];
            }
            *z++ = ${scale}sum + b[f];
        }
}
"""

POOL = """\
/* Of each channel the $what of every window; x is an image, w pixels wide, with n
   channels. */
static void $kind(const double *x, int w, int n, int k_h, int k_w, int s_h, int s_w,
                  int out_h, int out_w, double *z)
{
    for (int i = 0; i < out_h * out_w; i++)
        for (int c = 0; c < n; c++) {
            const double *first = x + (i / out_w * s_h * w + i % out_w * s_w) * n + c;
            double found = $start;
            for (int u = 0; u < k_h * k_w; u++) {
                const double y = first[(u / k_w * w + u % k_w) * n];
                $step
            }
            *z++ = $end;
        }
}
"""

POOLS = {
    "max_pool": {
        "what": "largest",
        "start": "*first",
        "step": "found = y > found ? y : found;",
        "end": "found",
    },
    "average_pool": {
        "what": "mean",
        "start": "0.0",
        "step": "found += y;",
        "end": "found / (double)(k_h * k_w)",
    },
}

CLIP = """\
    for (int i = 0; i < {n}; i++)
        {z}[i] = {z}[i] < 0.0 ? 0.0 : {z}[i] > 1.0 ? 1.0 : {z}[i];
"""

SHARES = """\
    double total = 0.0;
    for (int i = 0; i < {n}; i++)
        total += out[i];
    for (int i = 0; i < {n}; i++)
        out[i] = total > 0.0 ? out[i] / total : 1.0 / {n}.0;
"""

ARGMAX = """\
    int best = 0;
    for (int i = 1; i < {n}; i++)
        best = z[i] > z[best] ? i : best;
    return best;
"""


HEADER = """\
/* $what, by fastmlp $version. */
#ifndef ${NAME}_H
#define ${NAME}_H

#include <stdint.h>

#define ${NAME}_N_INPUTS $n_inputs
#define ${NAME}_N_OUTPUTS $n_outputs$n_classes

#ifdef __cplusplus
extern "C" {
#endif

/* $meaning. */
void ${name}_predict(const double *x, double *out);
$classes
#ifdef __cplusplus
}
#endif

#endif
"""

HEADER_CLASSES = """
/* The position of its class in ${name}_labels. */
int ${name}_class(const double *x);
extern $declared;
"""


@dataclass(frozen=True)
class CExport:
    """What :func:`to_c` has written, and what it costs.

    Attributes
    ----------
    source, header : Path
        The two files.
    n_bytes : int
        Bytes of all constants: weights, scales, biases and the scaler's numbers.
    max_error : float or None
        Largest difference from ``predict_proba`` or ``predict`` over X, by the rounded
        weights; None without X.
    agreement : float or None
        Share of the rows of X for which ``predict`` is the same; None without X, or
        for a regressor.
    score, exported_score : float or None
        ``est.score(X, y)``, and that of the rounded weights; None without y.
    """

    source: Path
    header: Path
    n_bytes: int
    max_error: float | None = None
    agreement: float | None = None
    score: float | None = None
    exported_score: float | None = None


def to_c(
    est: Any,
    path: str | os.PathLike,
    dtype: str | type | np.dtype = "float32",
    scaler: Any = None,
    *,
    int8: bool = False,
    X: ArrayLike | None = None,
    y: ArrayLike | None = None,
) -> CExport:
    """Write a fitted estimator as a C99 file and its header.

    For ``net.c`` there are, in ``net.c`` and ``net.h``::

        void net_predict(const float *x, float *out);
        int net_class(const float *x);
        extern const char *const net_labels[NET_N_CLASSES];

    ``net_predict`` writes NET_N_OUTPUTS numbers: what ``predict_proba`` or, of a
    regressor, ``predict`` gives for the row x of NET_N_INPUTS numbers. ``net_class``
    is the position of its class in ``net_labels``, which hold ``classes_`` (numbers as
    int64_t, uint64_t or double). For multilabel targets there is neither: label k is
    predicted where ``out[k] > 0.5``.

    The code needs nothing but ``expf`` and the like of libm, allocates nothing, keeps
    no state and may be called from several threads. It needs stack for the two widest
    successive layers.

    Parameters
    ----------
    est : MLPClassifier, MLPRegressor, CNNClassifier or CNNRegressor
        Fitted; of images x is one made flat, channels last. Batch normalisation is
        folded into weights and biases.
    path : path-like
        The source file, whose name without ``.c`` begins all names. The header is
        written beside it.
    dtype : {'float32', 'float64'}, default='float32'
        ``float`` or ``double`` for all numbers.
    scaler : StandardScaler, MinMaxScaler, MaxAbsScaler or RobustScaler, default=None
        Fitted; x is then a row before scaling.
    int8 : bool, default=False
        Whether weights are stored as whole numbers from −127 to 127, with a scale a
        unit: a quarter of the size of float. Biases and sums stay as they are. The
        loss of accuracy is reported, and X needed for it.
    X, y : array-like, default=None
        Rows, before scaling, and their targets, on which it is reported what rounding
        the weights to the type of the export costs.

    Returns
    -------
    CExport
        Files, size, and the loss of accuracy.

    Raises
    ------
    TypeError
        If est is no estimator of fastmlp, or one of tables, or scaler none of these.
    ValueError
        If the file's name is no name in C, a parameter is not finite, an activation
        has no formula here, or int8 comes without X.

    Notes
    -----
    The size is that of the constants, ``CExport.n_bytes``, and less than 1 KiB of code:
    of a 64-32-10 network with relu 9640 bytes as float and 2704 with int8, and 0.4 KiB
    of code (gcc -Os, x86-64 and aarch64). Sums are taken one after the other, in the
    type of the export: float differs from ``predict`` by some 1e-7 of the largest term.

    Examples
    --------
    >>> import fastmlp
    >>> report = fastmlp.to_c(model, "net.c")  # doctest: +SKIP
    """
    model = read(est, "to_c").folded()
    real = check_dtype(dtype)
    source = Path(path)
    if source.suffix != ".c" or not re.fullmatch(r"[A-Za-z_]\w*", source.stem, re.A):
        raise ValueError(
            "path must end in '.c' after a name that is valid in C, like 'net.c', "
            f"got {path!r}"
        )
    if int8 and X is None:
        raise ValueError("int8=True needs X, rows to measure the loss of accuracy on")
    if y is not None and X is None:
        raise ValueError("y needs X: give the rows that y belongs to")
    for layer in model.layers:
        _check_finite(layer, real)
    layers = [_round(layer, real, int8) for layer in model.layers]
    scaling = None if scaler is None else _read_scaler(scaler, model.n_features, real)
    writer = _Writer(source.stem, real, model, layers, scaling, type(est).__name__)
    texts = writer.source(), writer.header()
    report = {} if X is None else _compare(est, int8, real, scaler, X, y)
    header = source.with_suffix(".h")
    for file, text in zip((source, header), texts, strict=True):
        file.write_text(text, encoding="ascii", newline="\n")
    arrays = [a for layer in layers for a in layer.arrays]
    n_bytes = sum(a.nbytes for a in [*arrays, *(scaling or ())])
    return CExport(source, header, n_bytes, **report)


# -- what is rounded, and what that costs


@dataclass(frozen=True)
class _Rounded:
    """A layer as it is written: a row of weights for each unit."""

    weights: np.ndarray
    scales: np.ndarray | None
    biases: np.ndarray
    layer: Layer

    @property
    def arrays(self) -> list[np.ndarray]:
        scales = [] if self.scales is None else [self.scales]
        return [a for a in (self.weights, *scales, self.biases) if a.size]


def _check_finite(layer: Layer, real: np.dtype) -> None:
    largest = np.finfo(real).max
    for array in layer.weights, layer.biases:
        if not (np.abs(array) <= largest).all():
            raise ValueError(
                f"a weight or bias is not finite in {real}: to_c cannot write it"
            )


def _round(layer: Layer, real: np.dtype, int8: bool) -> _Rounded:
    rows, scales = _rows_of(layer.weights), None
    if int8 and rows.size:
        rows, scales = _quantize(rows, real)
    else:
        rows = rows.astype(real)
    return _Rounded(rows, scales, layer.biases.astype(real), layer)


def _rows_of(weights: np.ndarray) -> np.ndarray:
    """Weights, or a kernel, as a row for each unit or filter."""
    return weights.reshape(-1, weights.shape[-1]).T if weights.size else weights


def _quantize(rows: np.ndarray, real: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers up to 127 and a scale a row, whose products are the nearest."""
    largest = np.abs(rows).max(axis=1)
    scales = (np.where(largest > 0, largest, 127) / 127).astype(real)
    # A tiny scale may have been rounded to 0 or down, and 127 to 128.
    safe = np.where(scales > 0, scales, 1)
    whole = np.rint(rows / safe[:, np.newaxis]).clip(-127, 127)
    return whole.astype(np.int8), scales


def _compare(
    est: Any, int8: bool, real: np.dtype, scaler: Any, X: Any, y: Any
) -> dict[str, float]:
    """What rounding the weights costs on X: an estimator with those weights is asked.

    Normalisation folded into a unit's weights multiplies them all by one number, which
    goes into the unit's scale: the whole numbers are those of its own weights.
    """
    rows = X if scaler is None else scaler.transform(X)
    twin = copy.deepcopy(est)
    twin.coefs_ = [_as_written(weights, real, int8) for weights in est.coefs_]
    twin.intercepts_ = [np.array(biases) for biases in est.intercepts_]
    outputs = "predict_proba" if hasattr(est, "predict_proba") else "predict"
    before, after = (getattr(model, outputs)(rows) for model in (est, twin))
    report = {"max_error": float(np.abs(after - before).max())}
    if outputs == "predict_proba":
        same = est.predict(rows) == twin.predict(rows)
        report["agreement"] = float(same.reshape(len(same), -1).all(axis=1).mean())
    if y is not None:
        report["score"] = float(est.score(rows, y))
        report["exported_score"] = float(twin.score(rows, y))
    return report


def _as_written(weights: np.ndarray, real: np.dtype, int8: bool) -> np.ndarray:
    if not int8:
        return weights.astype(real).astype(weights.dtype)
    whole, scales = _quantize(_rows_of(weights), real)
    return (whole.T * scales).astype(weights.dtype).reshape(weights.shape)


def _read_scaler(
    scaler: Any, n_features: int, real: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """What is subtracted from each feature, and what it is then divided by."""
    from sklearn import preprocessing
    from sklearn.utils.validation import check_is_fitted

    names = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")
    kinds: Any = tuple(getattr(preprocessing, name) for name in names)
    if not isinstance(scaler, kinds):
        raise TypeError(
            f"scaler must be a fitted {', '.join(names)} or None, "
            f"got {type(scaler).__name__}"
        )
    check_is_fitted(scaler)
    if scaler.n_features_in_ != n_features:
        raise ValueError(
            f"scaler was fitted to {scaler.n_features_in_} features, the estimator "
            f"to {n_features}"
        )
    if getattr(scaler, "clip", False):
        raise ValueError("to_c does not support a scaler with clip=True")
    if isinstance(scaler, preprocessing.MinMaxScaler):
        center, divisor = -scaler.min_ / scaler.scale_, 1 / scaler.scale_
    else:
        center = getattr(scaler, "mean_", getattr(scaler, "center_", None))
        divisor = scaler.scale_
    if center is None or not getattr(scaler, "with_mean", True):
        center = np.zeros(n_features)
    if divisor is None:
        divisor = np.ones(n_features)
    return np.asarray(center, real), np.asarray(divisor, real)


# -- the text


def _in_type(text: str, real: np.dtype) -> str:
    """C that is written for double as C for the type."""
    if real == np.float64:
        return text
    text = re.sub(r"\bdouble\b", "float", text)
    text = re.sub(r"\b(exp|expm1|log1p|tanh|erfc|fabs)\(", r"\1f(", text)
    return re.sub(r"\b\d+\.\d+\b", r"\g<0>f", text)


def _list_numbers(array: np.ndarray) -> str:
    suffix = "f" if array.dtype == np.float32 else ""
    # str gives the shortest decimal that is read as the same number.
    numbers = [f"{x}{suffix}" for x in map(str, array.ravel())]
    lines = [", ".join(numbers[k : k + 8]) for k in range(0, len(numbers), 8)]
    return "{\n    " + ",\n    ".join(lines) + "\n}"


def _quote(text: str) -> str:
    """A literal in ASCII: UTF-8 in octal, and no trigraph."""
    plain = {ord(c) for c in map(chr, range(32, 127)) if c not in '"\\?'}
    octets = text.encode("utf-8")
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in octets) + '"'


def _declare_labels(name: str, classes: np.ndarray) -> tuple[str, str]:
    """Declaration of the labels, and their values."""
    dtype = label_type(classes)
    kind = dtype.kind
    if kind == "O":
        values = [_quote(str(label)) for label in classes]
    elif kind == "f":
        values = [repr(float(label)) for label in classes]
    elif kind == "u":
        values = [f"UINT64_C({label})" for label in classes]
    else:
        values = [_whole(int(label)) for label in classes]
    types = {"O": "char *const ", "f": "double ", "u": "uint64_t "}
    declared = f"const {types.get(kind, 'int64_t ')}{name}_labels[{len(classes)}]"
    return declared, "{\n    " + ",\n    ".join(values) + "\n}"


def _whole(number: int) -> str:
    # The least one has no literal: C reads a minus and a number that is too large.
    return "INT64_MIN" if number == -(2**63) else f"INT64_C({number})"


@dataclass(frozen=True)
class _Writer:
    """The text of both files."""

    name: str
    real: np.dtype
    model: FittedModel
    layers: list[_Rounded]
    scaling: tuple[np.ndarray, np.ndarray] | None
    kind: str

    def header(self) -> str:
        """The header: sizes, labels, functions."""
        model, sizes = self.model, [self.model.n_features]
        sizes += [layer.n_units for layer in model.layers]
        classes = ""
        if self._has_classes:
            declared, _ = _declare_labels(self.name, self._classes)
            classes = self._fill(HEADER_CLASSES, declared=declared)
        meaning = "predict: the prediction"
        if model.is_classifier:
            meaning = "predict_proba: a probability for each class"
        if model.multilabel:
            meaning = "predict_proba: label k is found where out[k] > 0.5"
        return self._fill(
            HEADER,
            NAME=self.name.upper(),
            what=f"{self.kind} {'-'.join(map(str, sizes))}",
            version=__version__,
            n_inputs=model.n_features,
            n_outputs=self._n_written,
            n_classes=f"\n#define {self.name.upper()}_N_CLASSES {len(self._classes)}"
            if self._has_classes
            else "",
            meaning=meaning,
            classes=classes,
        )

    def source(self) -> str:
        """The numbers and the functions."""
        layers = self.model.layers
        used = dict.fromkeys((layer.activation, layer.params) for layer in layers)
        kinds = dict.fromkeys(layer.kind for layer in layers)
        is_int8 = self.layers[-1].scales is not None
        parts = [self._fill('#include <math.h>\n\n#include "$name.h"\n')]
        parts += [self._numbers()]
        parts += [_define_kind(kind, is_int8) for kind in kinds]
        parts += [_define(*activation) for activation in used]
        parts[2:] = [_in_type(text, self.real) for text in parts[2:] if text]
        parts += [self._forward(), self._predict()]
        if self._has_classes:
            parts += [self._class()]
        return "\n".join(parts)

    @property
    def _has_classes(self) -> bool:
        return self.model.is_classifier and not self.model.multilabel

    @property
    def _classes(self) -> np.ndarray:
        return np.empty(0) if self.model.classes is None else self.model.classes

    @property
    def _n_written(self) -> int:
        """Numbers that net_predict writes."""
        n_outputs = self.model.n_outputs
        return max(2, n_outputs) if self._has_classes else n_outputs

    def _fill(self, text: str, **words: object) -> str:
        return Template(_in_type(text, self.real)).substitute(name=self.name, **words)

    def _numbers(self) -> str:
        arrays: dict[str, np.ndarray] = {}
        if self.scaling is not None:
            arrays["center"], arrays["divisor"] = self.scaling
        for k, layer in enumerate(self.layers):
            arrays[f"weights_{k}"] = layer.weights
            if layer.scales is not None:
                arrays[f"scales_{k}"] = layer.scales
            arrays[f"biases_{k}"] = layer.biases
        arrays = {name: array for name, array in arrays.items() if array.size}
        types = {"float32": "float", "float64": "double", "int8": "int8_t"}
        text = "".join(
            f"static const {types[array.dtype.name]} {name}[{array.size}] = "
            f"{_list_numbers(array)};\n"
            for name, array in arrays.items()
        )
        if self._has_classes:
            declared, values = _declare_labels(self.name, self._classes)
            text += f"{declared} = {values};\n"
        return text

    def _forward(self) -> str:
        """Layer after layer, from one buffer to the other, the last one into out."""
        lines = self._buffers()
        x = "x"
        if self.scaling is not None:
            lines += [f"for (int i = 0; i < {self.model.n_features}; i++)"]
            lines += ["    a[i] = (x[i] - center[i]) / divisor[i];"]
            x = "a"
        for k, layer in enumerate(self.model.layers):
            z = "out" if k == len(self.layers) - 1 else "b" if x == "a" else "a"
            scales = "" if self.layers[k].scales is None else f" scales_{k},"
            lines += [_call(layer, k, x, scales, z)]
            lines += _apply(layer.activation, z, layer.n_units)
            x = z
        body = "".join(f"    {line}\n" for line in lines)
        head = "static void forward(const double *x, double *out)"
        return f"{_in_type(head, self.real)}\n{{\n{body}}}\n"

    def _buffers(self) -> list[str]:
        """Declarations of a and b, as wide as what they take turns to hold."""
        held = [layer.n_units for layer in self.model.layers[:-1]]
        if self.scaling is not None:
            held.insert(0, self.model.n_features)
        real = _in_type("double", self.real)
        widths = zip("ab", (held[0::2], held[1::2]), strict=True)
        return [f"{real} {name}[{max(width)}];" for name, width in widths if width]

    def _predict(self) -> str:
        model, n = self.model, self.model.n_outputs
        clips = model.is_classifier and model.output_activation == "identity"
        if self._has_classes and n == 1:
            body = "    double z[1];\n    forward(x, z);\n"
            body += CLIP.format(n=1, z="z") if clips else ""
            body += "    out[0] = 1.0 - z[0];\n    out[1] = z[0];\n"
        else:
            body = "    forward(x, out);\n"
            body += CLIP.format(n=n, z="out") if clips else ""
            body += SHARES.format(n=n) if model.is_normalised_by_sum else ""
        return self._fill(
            "void ${name}_predict(const double *x, double *out)\n{\n" + body + "}\n"
        )

    def _class(self) -> str:
        n = self.model.n_outputs
        body = f"    double z[{n}];\n    forward(x, z);\n"
        if n > 1:
            body += ARGMAX.format(n=n)
        elif len(self._classes) > 1:
            body += "    return z[0] > 0.5;\n"
        else:
            body = "    (void)x;\n    return 0;\n"
        return self._fill("int ${name}_class(const double *x)\n{\n" + body + "}\n")


def _define_kind(kind: str, is_int8: bool) -> str:
    """The function of a kind of layers."""
    if kind == "dense":
        return DENSE_INT8 if is_int8 else DENSE
    if kind == "conv":
        words = {"number": "double", "scales": "", "scale": ""}
        if is_int8:
            words = {"number": "int8_t", "scale": "s[f] * "}
            words["scales"] = "const double *s,\n                 "
        return Template(CONV).substitute(words)
    return Template(POOL).substitute(kind=kind, **POOLS[kind])


def _call(layer: Layer, number: int, x: str, scales: str, z: str) -> str:
    """The call of a layer's function."""
    weights = f"weights_{number},{scales} biases_{number}"
    geometry = layer.geometry
    if geometry is None:
        return f"dense({x}, {layer.n_inputs}, {weights}, {layer.n_units}, {z});"
    window = ", ".join(map(str, (*geometry.kernel, *geometry.stride)))
    place = ", ".join(map(str, geometry.out_shape[:2]))
    if layer.kind != "conv":
        _, width, channels = geometry.shape
        return f"{layer.kind}({x}, {width}, {channels}, {window}, {place}, {z});"
    shape = ", ".join(map(str, geometry.shape))
    pads = ", ".join(map(str, geometry.pads))
    filters = geometry.out_shape[2]
    return f"conv({x}, {shape}, {weights}, {filters}, {window}, {pads}, {place}, {z});"


def _define(activation: str, params: tuple[float, ...]) -> str:
    """The function of an activation, of one number or, softmax, of n."""
    body = row_of(ACTIVATIONS, activation, "to_c")
    for param in params:
        body = body.replace("$param", np.format_float_positional(param, trim="0"))
    if activation == "identity":
        return ""
    takes = "void activate_softmax(double *z, int n)"
    if activation != "softmax":
        takes = f"double activate_{activation}(double z)"
    return f"static {takes}\n{{\n    {body}\n}}\n"


def _apply(activation: str, z: str, n: int) -> list[str]:
    if activation == "identity":
        return []
    if activation == "softmax":
        return [f"activate_softmax({z}, {n});"]
    loop = f"for (int i = 0; i < {n}; i++)"
    return [loop, f"    {z}[i] = activate_{activation}({z}[i]);"]
