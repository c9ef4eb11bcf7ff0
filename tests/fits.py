"""What estimators are fitted to, and fits that are not meant to converge."""

import contextlib
import functools
import warnings

from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale


@functools.cache
def iris():
    """150 flowers of three kinds, their four measures standardised."""
    X, y = datasets.load_iris(return_X_y=True)
    return scale(X), y


@contextlib.contextmanager
def unconverged():
    """For fits that are meant to end at max_iter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def fit(model, *data, **keywords):
    """The model, fitted in silence."""
    with unconverged():
        return model.fit(*data, **keywords)
