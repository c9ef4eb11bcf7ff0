"""The classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import Tags, column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    type_of_target,
    unique_labels,
)
from sklearn.utils.validation import validate_data

from fastmlp.estimators._base import BaseMLP, Data, checked_sample_weight
from fastmlp.estimators._labels import Labels
from fastmlp.scores import accuracy


class MLPClassifier(ClassifierMixin, BaseMLP):
    """Multilayer perceptron classifier, trained natively.

    Minimises the mean log-loss plus an L2 penalty. A drop-in for
    :class:`sklearn.neural_network.MLPClassifier`: with the same data, parameters and
    integer ``random_state`` it ends at the same model, to rounding.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int or int, default=(100,)
        Units of each hidden layer; empty for none.
    activation : {'identity', 'logistic', 'tanh', 'relu'}, default='relu'
        Activation of the hidden layers.
    solver : {'lbfgs', 'sgd', 'adam', 'adagrad', 'rmsprop'}, default='adam'
        The optimizer. 'sgd' has momentum, Nesterov's by default.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights, divided by the batch's size.
    batch_size : int or 'auto', default='auto'
        Rows of one step; 'auto' is min(200, n_samples). Not used by 'lbfgs'.
    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        Schedule, for every solver but 'lbfgs'. 'invscaling': learning_rate_init /
        (t + 1)**power_t after each epoch, t the samples seen. 'adaptive': divided by
        5 whenever training stalls, until it is at most 1e-6.
    learning_rate_init : float, default=0.001
        Initial learning rate.
    power_t : float, default=0.5
        Exponent of 'invscaling'.
    max_iter : int, default=200
        Epochs; iterations of 'lbfgs'.
    shuffle : bool, default=True
        Whether each epoch takes the rows in a new order.
    random_state : int, RandomState instance or None, default=None
        Draws the initial parameters, the validation split and the shuffles, in
        scikit-learn's order: the same integer gives the same model in both.
    tol : float, default=1e-4
        Improvement of loss or score that counts; 'lbfgs' stops where no entry of the
        gradient is larger.
    verbose : bool, default=False
        Whether to print a line of progress each epoch.
    warm_start : bool, default=False
        Whether fit goes on from the previous solution, optimizer state included.
    momentum : float, default=0.9
        Momentum of 'sgd', in [0, 1].
    nesterovs_momentum : bool, default=True
        Whether that momentum is Nesterov's.
    early_stopping : bool, default=False
        Whether to hold out rows, stop when their score no longer improves, and keep
        the parameters of the best score.
    validation_fraction : float, default=0.1
        Share of the rows held out, in [0, 1).
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay rates of 'adam', in [0, 1).
    epsilon : float, default=1e-8
        Keeps the divisor of 'adam', 'adagrad' and 'rmsprop' from zero.
    n_iter_no_change : int or inf, default=10
        Epochs without improvement by tol that are borne.
    max_fun : int, default=15000
        Evaluations of the objective that 'lbfgs' may take.
    rho : float, default=0.9
        Decay rate of 'rmsprop', in [0, 1).

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    coefs_ : list of ndarray of shape (n_in, n_out)
        Weights of each layer, views of one vector.
    intercepts_ : list of ndarray of shape (n_out,)
        Biases of each layer, views of the same vector.
    loss_ : float
        Objective of the last epoch.
    loss_curve_ : list of float
        Objective of each epoch. Not set by 'lbfgs'.
    best_loss_ : float or None
        Least objective; None with early stopping. Not set by 'lbfgs'.
    validation_scores_ : list of float or None
        Accuracy on the held-out rows after each epoch; None without early stopping.
    best_validation_score_ : float or None
        The highest of them.
    n_iter_ : int
        Epochs, or iterations of 'lbfgs', of the last fit.
    t_ : int
        Samples trained on, over all fits that went on from each other.
    stop_reason_ : {'max_iter', 'tol', 'interrupted', 'diverged'}
        Why training ended.
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

    References
    ----------
    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastmlp import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier(max_iter=400, random_state=0).fit(X[:1000] / 16, y[:1000])
    >>> model.score(X[1000:] / 16, y[1000:]) > 0.9
    True
    """

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] | int = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        rho: float = 0.9,
    ) -> None:
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
            rho=rho,
        )

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> MLPClassifier:
        """Fit the network to X and y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Inputs. C-contiguous float32 or float64 arrays are not copied, and sparse
            matrices never made dense; the network takes their type.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels, or an indicator matrix of labels that can be had together.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows.

        Returns
        -------
        self : MLPClassifier

        Raises
        ------
        ValueError
            If the data are not fit for training, or training diverges. The
            estimator is then as it was before.
        """
        self._fit(X, y, sample_weight, incremental=False)
        return self

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> MLPClassifier:
        """Go on training for one epoch over X and y. Not for solver 'lbfgs'.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`.
        classes : array-like of shape (n_classes,), default=None
            Every class that will ever occur. Needed in the first call.

        Returns
        -------
        self : MLPClassifier
        """
        with self._unchanged_on_failure():
            if _check_partial_fit_first_call(self, classes):
                multilabel = type_of_target(y).startswith("multilabel")
                self._labels = Labels(y if multilabel else np.asarray(classes))
            self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The likeliest class of each row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
        """
        outputs = self._outputs(X)
        return self._labels.decode(outputs)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        outputs = self._outputs(X)
        if self.n_outputs_ == 1:
            return np.hstack([1 - outputs, outputs])
        return outputs

    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    def _validate_input(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        incremental: bool,
        reset: bool,
    ) -> Data:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            dtype=(np.float64, np.float32),
            order="C",
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._labels = Labels(y)
            self.classes_ = self._labels.classes_
        else:
            self._check_classes(y)
        return Data(
            X, self._labels.encode(y, X.dtype), checked_sample_weight(sample_weight, X)
        )

    def _check_classes(self, y: np.ndarray) -> None:
        classes = unique_labels(y)
        if self.warm_start:
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in "
                    f"the previous call to fit. Previously got {self.classes_}, `y` "
                    f"has {classes}"
                )
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. `self.classes_` has "
                f"{self.classes_}. 'y' has {classes}."
            )

    def _count_outputs(self, Y: np.ndarray) -> int:
        return self._labels.n_outputs

    def _head(self) -> tuple[str, str]:
        several = self._labels.kind == "multiclass"
        return "log_loss", "softmax" if several else "logistic"

    def _stratify_by(self, Y: np.ndarray) -> np.ndarray | None:
        # scikit-learn stratifies the single column of two classes, and no other.
        if self._labels.kind != "binary":
            return None
        return np.where(Y[:, 0] == 1, "True", "False")

    def _validation_score(
        self, outputs: np.ndarray, Y: np.ndarray, sample_weight: np.ndarray | None
    ) -> float:
        return accuracy(outputs, Y, sample_weight)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
