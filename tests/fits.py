"""What estimators are fitted to, and fits that are not meant to converge."""

import contextlib
import functools
import warnings

from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

from fastmlp.fitting import fit_network
from fastmlp.head import Head
from fastmlp.listeners import Functions, Listener
from fastmlp.recipe import Recipe
from fastmlp.schedules import ScheduleSettings


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


class Lines(Listener):
    """Hands each line of progress to a function."""

    def __init__(self, report):
        self.report = report

    def on_message(self, fit, line):
        self.report(line)


def minimise(
    network,
    X,
    y,
    sample_weight=None,
    *,
    solver,
    max_iter=1000,
    max_fun=10**6,
    gtol=1e-12,
    learning_rate=0.1,
    n_threads=1,
    callbacks=(),
    report=None,
):
    """The state after a full-batch solver has moved the network's parameters."""
    recipe = Recipe(
        Head(network.loss_name),
        solver=solver,
        schedule=ScheduleSettings(learning_rate_init=learning_rate),
        n_epochs=max_iter,
        max_fun=max_fun,
        tol=gtol,
        n_threads=n_threads,
    )
    listeners = [Functions(callbacks)]
    if report is not None:
        listeners.append(Lines(report))
    given = {"sample_weight": sample_weight, "listeners": listeners}
    return fit_network(network, X, y, recipe, **given)
