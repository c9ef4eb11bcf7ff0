"""The part of the estimators' docstrings that both have in common."""

from __future__ import annotations

from textwrap import dedent, indent
from typing import TypeVar

Documented = TypeVar("Documented")

PARAMETERS = """
hidden_layer_sizes : array-like of int or int, default=(100,)
    Units of each hidden layer; empty for none.
activation : str or list of str, default='relu'
    Activation of the hidden layers, one for all or one a layer: 'identity',
    'logistic', 'tanh', 'relu', 'leaky_relu', 'elu', 'selu', 'softplus', 'silu',
    'gelu', 'gelu_tanh' or 'mish'.
solver : str, default='adam'
    First order: 'sgd' (with momentum, Nesterov's by default), 'adam', 'adamw',
    'adagrad', 'rmsprop'. Full batch: 'lbfgs'; 'gd', gradient descent at a fixed
    rate; 'steepest', gradient descent with a line search; 'newton-cg', a trust
    region on exact products with the Hessian.
alpha : float, default=0.0001
    Strength of the penalty on the weights, divided by the batch's size.
batch_size : int, 'auto' or 'full', default='auto'
    Rows of one step of a first-order solver; 'auto' is min(200, n_samples).
learning_rate : str or callable, default='constant'
    Schedule of a first-order solver's rate η, epochs e counted from 0. 'invscaling':
    learning_rate_init / (t + 1)**power_t, t the samples seen. 'adaptive': divided by
    5 whenever training stalls, until it is at most 1e-6. 'exponential' and 'step':
    learning_rate_init * decay_rate**(e / decay_epochs), in steps the exponent rounded
    down. 'cosine': half a cosine down to 0 over max_iter epochs, or over every
    restart_epochs. 'one_cycle': up to learning_rate_init and down again over
    max_iter epochs. A callable returns the η of the epoch that it is given.
learning_rate_init : float, default=0.001
    Initial learning rate; the highest of 'one_cycle'.
power_t : float, default=0.5
    Exponent of 'invscaling'.
max_iter : int, default=200
    Epochs; iterations of a full-batch solver.
shuffle : bool, default=True
    Whether each epoch takes the rows in a new order.
random_state : int, RandomState instance or None, default=None
    Draws the initial parameters, the validation split, the shuffles and the dropout
    masks, in scikit-learn's order: the same integer gives the same model in both.
tol : float, default=1e-4
    Improvement of loss or score that counts; a full-batch solver stops where no
    entry of the gradient is larger.
verbose : bool, default=False
    Whether to print a line of progress each epoch.
warm_start : bool, default=False
    Whether fit goes on from the previous solution, optimizer state included.
momentum : float, default=0.9
    Momentum of 'sgd', in [0, 1].
nesterovs_momentum : bool, default=True
    Whether that momentum is Nesterov's.
early_stopping : bool, default=False
    Whether to stop when the score of held-out rows no longer improves, and keep
    the parameters of the best score.
validation_fraction : float, default=0.1
    Share of the rows held out, in [0, 1). Not used where fit is given X_val.
beta_1, beta_2 : float, default=0.9, 0.999
    Decay rates of 'adam' and 'adamw', in [0, 1).
epsilon : float, default=1e-8
    Keeps the divisor of 'adam', 'adamw', 'adagrad' and 'rmsprop' from zero.
n_iter_no_change : int or inf, default=10
    Epochs without improvement by tol that are borne.
max_fun : int, default=15000
    Evaluations of the objective that 'lbfgs' may take.
rho : float, default=0.9
    Decay rate of 'rmsprop', in [0, 1).
output_activation : str, default=None
    Activation of the last layer, where the loss leaves a choice; None takes the
    first that is named at loss.
l1_ratio : float, default=0.0
    Share of the L1 norm in the penalty, in [0, 1]; the rest is half the squared norm.
weight_decay : float, default=None
    Decoupled decay: weights are multiplied by 1 - η weight_decay before each step of
    a first-order solver. None: 0.01 for 'adamw', else 0.
grad_clip_norm : float, default=None
    A larger gradient of a step is scaled down to this norm. None: never.
dropout : float or list of float, default=0.0
    Share of a hidden layer's units that each step drops, in [0, 1): one for all
    layers, or one a layer. First-order solvers only.
batch_norm : bool, default=False
    Whether hidden layers are normalised over the batch, between affine map and
    activation; predictions use running averages. A batch needs two rows of weight: a
    last batch of one is joined to the one before. First-order solvers only.
init : str or float, default='glorot_uniform'
    How weights are drawn: 'glorot_uniform' as in scikit-learn, 'glorot_normal',
    'he_uniform', 'he_normal', 'lecun_uniform', 'lecun_normal', or a number, the
    standard deviation of normal weights.
decay_rate : float, default=0.5
    What 'exponential' and 'step' multiply η by over decay_epochs, in (0, 1].
decay_epochs : int, default=10
    See decay_rate.
restart_epochs : int, default=None
    Epochs after which 'cosine' begins anew; None: never.
warmup_epochs : int, default=0
    Epochs in which η rises linearly before the schedule begins.
param_tol : float, default=None
    Training ends when no parameter has moved by as much over an epoch.
scoring : str or callable, default=None
    What early stopping judges by: the name of a scikit-learn scorer, or
    scorer(estimator, X, y), with sample_weight if it has that parameter. None: {score}.
stop_on_overfit : bool, default=False
    Whether training ends when over-fitting is seen: the training loss still falls,
    but the validation score has not risen for n_iter_no_change epochs.
callbacks : list of callable, default=None
    Each is called as f(epoch, logs) after every epoch, or iteration of a full-batch
    solver, counted from 0; logs holds that epoch's entries of history_. Training
    ends when one returns True. One that raises an exception ends the fit, which
    leaves the estimator as it was.
dtype : {{'float32', 'float64'}}, default=None
    Type of parameters and computation; None: that of X.
n_threads : int, default=None
    Threads that fit; None: as many as pay for steps of this size. The numbers do not
    depend on it. A full-batch solver keeps NumPy's and SciPy's BLAS to one while it
    runs.
"""

ATTRIBUTES = """
coefs_ : list of ndarray of shape (n_in, n_out)
    Weights of each layer, views of one vector.
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
    full-batch solvers, as the next four.
best_loss_ : float or None
    Least objective; None with early stopping.
validation_scores_ : list of float or None
    Score of the validation rows after each epoch; None without such rows.
best_validation_score_ : float or None
    The highest of them.
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
    'param_tol', 'gtol', 'no_progress', 'callback', 'interrupted' or 'diverged'.
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
    matrices never made dense; the network takes their type.
y : array-like of shape {shape}
    {targets}
sample_weight : array-like of shape (n_samples,), default=None
    Non-negative weights of the rows.
X_val, y_val : array-like, default=None
    Rows to validate by, in the form of X and y. Their scores and losses are recorded,
    over-fitting is looked for, and early stopping judges by them in place of rows of X.
sample_weight_val : array-like, default=None
    Their weights.
"""


def fill_docstring(thing: Documented, **words: str) -> Documented:
    """Put the common paragraphs where the docstring has %(name)s."""
    paragraphs = {
        "parameters": PARAMETERS,
        "attributes": ATTRIBUTES,
        "fit_parameters": FIT_PARAMETERS,
    }
    lines = (thing.__doc__ or "").splitlines()
    for number, line in enumerate(lines):
        name = line.strip().removeprefix("%(").removesuffix(")s")
        if line.strip() == f"%({name})s":
            text = paragraphs[name].strip().format_map(words)
            lines[number] = indent(dedent(text), line[: len(line) - len(line.lstrip())])
    thing.__doc__ = "\n".join(lines)
    return thing
