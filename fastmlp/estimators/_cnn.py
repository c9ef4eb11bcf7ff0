"""The convolutional classifier and regressor."""

from __future__ import annotations

from dataclasses import dataclass

from fastmlp.estimators._classifier import MLPClassifier
from fastmlp.estimators._docs import fill_docstring
from fastmlp.estimators._images import Images
from fastmlp.estimators._regressor import REGRESSION_SCORE, MLPRegressor


@dataclass(eq=False, repr=False)
class CNNClassifier(Images, MLPClassifier):
    """Convolutional classifier of images and signals, trained natively.

    Convolutions, each with its pooling, in front of the layers of
    :class:`MLPClassifier`, of which it has all parameters and methods. X is
    (n_samples, height, width, channels) for images, (n_samples, length, channels) for
    signals, or a matrix of such rows made flat with ``input_shape``. ``activation`` and
    ``dropout`` have one entry per convolution, then one per hidden layer, or one for
    all.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    input_shape_ : tuple of int
        (height, width, channels) or (length, channels) of a row.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    %(attributes)s

    See Also
    --------
    fastmlp.layers : Kinds of layers, for a network of your own.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to
    document recognition", Proceedings of the IEEE 86, 1998.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastmlp import CNNClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = CNNClassifier(
    ...     input_shape=(8, 8), batch_size=32, early_stopping=True, random_state=0
    ... )
    >>> model.fit(X[:1000] / 16, y[:1000]).score(X[1000:] / 16, y[1000:]) > 0.9
    True
    """


@dataclass(eq=False, repr=False)
class CNNRegressor(Images, MLPRegressor):
    """Convolutional regressor of images and signals, trained natively.

    Convolutions, each with its pooling, in front of the layers of
    :class:`MLPRegressor`, of which it has all parameters and methods. X is
    (n_samples, height, width, channels) for images, (n_samples, length, channels) for
    signals, or a matrix of such rows made flat with ``input_shape``. ``activation`` and
    ``dropout`` have one entry per convolution, then one per hidden layer, or one for
    all.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    input_shape_ : tuple of int
        (height, width, channels) or (length, channels) of a row.
    %(attributes)s

    See Also
    --------
    fastmlp.layers : Kinds of layers, for a network of your own.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import CNNRegressor
    >>> phases = np.linspace(0, 3, 200)
    >>> X = np.sin(np.arange(32) / 3 + phases[:, np.newaxis])[:, :, np.newaxis]
    >>> model = CNNRegressor(conv_layers=((8, 5),), max_iter=400, random_state=0)
    >>> model.fit(X, phases).score(X, phases) > 0.99
    True
    """


fill_docstring(CNNClassifier, score="accuracy")
fill_docstring(CNNRegressor, score=REGRESSION_SCORE)
