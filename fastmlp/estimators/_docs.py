"""The estimators' docstrings: parameters from the table, and what else both share."""

from __future__ import annotations

from dataclasses import Field, fields
from textwrap import dedent, fill, indent
from typing import Any, TypeVar

Documented = TypeVar("Documented")

ATTRIBUTES = """
coefs_ : list of ndarray of shape (n_in, n_out)
    Weights of each layer, views of one vector. What is set in them, item by item or in
    place, is predicted with and trained on, as in scikit-learn; and so are
    intercepts_, n_layers_, n_outputs_ and, for prediction, out_activation_.
intercepts_ : list of ndarray of shape (n_out,)
    Biases of each layer, views of the same vector.
history_ : dict of list of float
    One entry an epoch of this fit: 'loss', 'learning_rate', 'gradient_norm' (of the
    last step's data term), 'seconds', and with validation rows 'validation_score' and
    'validation_loss' (without penalty). Full-batch solvers record an entry an
    iteration: 'loss', 'gradient_norm' (of the whole objective), 'seconds', and 'gd' and
    'steepest' their step as 'learning_rate'.
loss_ : float
    Objective of the last epoch.
loss_curve_ : list of float
    Objective of each epoch, over all fits that went on from each other. Not set by
    full-batch solvers, as the next.
best_loss_ : float or None
    Least objective; None with early stopping.
validation_scores_ : list of float or None
    Score of the validation rows after each epoch; None without such rows. Full-batch
    solvers set it, and the next three, where fit was given X_val: of each iteration.
best_validation_score_ : float or None
    The highest of them, NaN left out; NaN if all are. Early stopping then keeps the
    parameters of the last epoch, with a warning.
validation_loss_curve_ : list of float or None
    Their mean loss after each epoch, without penalty.
overfit_epoch_ : int or None
    Once over-fitting has been seen (stop_on_overfit): epochs after which the
    validation score was best.
n_iter_ : int
    Epochs, or iterations of a full-batch solver, of the last fit.
t_ : int
    Samples trained on, over all fits that went on from each other.
stop_reason_ : str
    Why training ended: 'max_iter', 'tol', 'early_stopping', 'overfitting',
    'param_tol', 'max_seconds', 'gtol', 'no_progress', 'callback', 'interrupted' or
    'diverged'.
n_layers_ : int
    Layers, the inputs counted.
n_outputs_ : int
    Units of the last layer.
out_activation_ : str
    Activation of the last layer.
n_features_in_ : int
    Features seen during fit.
feature_names_in_ : ndarray of shape (n_features_in_,)
    Their names, where X had names that are all strings.
"""

FIT_PARAMETERS = """
X : array-like or sparse matrix of shape (n_samples, n_features)
    Inputs. C-contiguous float32 or float64 arrays are not copied, and sparse
    matrices never made dense; the network takes their type. Or
    :class:`fastmlp.stream.Blocks`, which bring y and sample_weight along.
y : array-like of shape {shape}
    {targets}
sample_weight : array-like of shape (n_samples,), default=None
    Non-negative weights of the rows.
X_val, y_val : array-like, default=None
    Rows to validate by, two at least, in the form of X and y; of Blocks X_val alone.
    Their scores and losses are recorded, over-fitting is looked for, and early stopping
    judges by them in place of rows of X; it then needs different targets, unless there
    is a scoring.
sample_weight_val : array-like, default=None
    Their weights.
resume_from : str or path-like, default=None
    A file that a :class:`fastmlp.Checkpoint` has written in an earlier call of fit:
    this one goes on from it, to the bits of a fit that was not interrupted. Other data,
    other parameters and another version of fastmlp are a ValueError; n_threads,
    max_seconds, verbose, warm_start and callbacks may differ.
"""


def fill_docstring(thing: Documented, **words: str) -> Documented:
    """Put the common paragraphs where the docstring has %(name)s.

    Parameters
    ----------
    thing : class or function
        A class has its table of parameters.
    **words : str
        What stands in the paragraphs in place of {word}.
    """
    paragraphs = {"attributes": ATTRIBUTES, "fit_parameters": FIT_PARAMETERS}
    if isinstance(thing, type):
        paragraphs["parameters"] = "\n".join(map(_describe, _rows(thing)))
    lines = (thing.__doc__ or "").splitlines()
    for number, line in enumerate(lines):
        name = line.strip().removeprefix("%(").removesuffix(")s")
        if line.strip() == f"%({name})s":
            text = paragraphs[name].strip()
            for word, meaning in words.items():
                text = text.replace(f"{{{word}}}", meaning)
            lines[number] = indent(dedent(text), line[: len(line) - len(line.lstrip())])
    thing.__doc__ = "\n".join(lines)
    return thing


def _rows(cls: Any) -> list[Field]:
    """The parameters, those that may be given by position first."""
    return sorted(fields(cls), key=lambda row: bool(row.kw_only))


def _describe(row: Field) -> str:
    meaning = row.metadata
    head = f"{row.name} : {meaning['type']}, default={row.default!r}"
    doc = fill(" ".join(meaning["doc"].split()), 80)
    return f"{head}\n{indent(doc, '    ')}"
