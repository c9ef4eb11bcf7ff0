"""How the estimators run a first-order solver: split, loop, optimizer, validation."""

from __future__ import annotations

import copy
import math
import warnings
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from fastmlp import _kernels
from fastmlp.estimators._callbacks import Callbacks, Epochs
from fastmlp.estimators._model import Data, Model
from fastmlp.estimators._parameters import Parameters
from fastmlp.estimators._stream import copy_stream
from fastmlp.inputs import as_inputs
from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.schedules import Schedule, make_schedule
from fastmlp.stopping import Overfitting, Plateau, epoch_of_divergence
from fastmlp.threads import PRODUCTS_OF_A_STEP, count_crew, gather_crew
from fastmlp.training import (
    Loop,
    Run,
    Trainer,
    Validation,
    fit_first_order,
    restore_best,
)

AGAINST_DIVERGENCE = (
    "Try a smaller learning_rate_init, a grad_clip_norm of 1, or scaled data: "
    "StandardScaler for X, TransformedTargetRegressor for a regressor's y."
)


class FirstOrderFit(Parameters):
    """The part of an estimator that a first-order solver needs."""

    loss_curve_: list[float]
    validation_scores_: list[float] | None
    validation_loss_curve_: list[float] | None
    best_validation_score_: float | None
    best_loss_: float | None
    overfit_epoch_: int | None

    @abstractmethod
    def _own_score(self, data: Data) -> Callable[[np.ndarray], float]:
        """Score of the outputs for these rows, by which early stopping judges."""

    @abstractmethod
    def _stratify_by(self, data: Data) -> np.ndarray | None:
        """What the validation split keeps the proportions of."""

    @abstractmethod
    def _training_weight(self, data: Data) -> np.ndarray | None:
        """What each row counts for in the objective."""

    def _describe_missing(self, Y: np.ndarray) -> str:
        """Which classes these rows tell nothing about; empty if there are none."""
        return ""

    def _hold_out_every_class(
        self, Y: np.ndarray, rows: np.ndarray, others: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows to train on and to validate by, with every class among the latter."""
        return rows, others

    def _tell_classes(self, scorer: Any) -> Any:
        """The scorer, told of all classes if it needs to know them."""
        return scorer

    @abstractmethod
    def _publish(self, model: Model) -> None:
        """Set the attributes that every fit has."""

    @abstractmethod
    def _view(self, attributes: dict[str, Any]) -> Any:
        """An estimator of this class with those attributes."""

    def _run_first_order(
        self,
        model: Model,
        loop: Loop,
        data: Data,
        held_out: Data | None,
        incremental: bool,
    ) -> Run:
        given = held_out is not None
        is_other = model.follow(self._schedule_name(), anew=not incremental)
        loop.n_epochs_seen = model.n_epochs_seen
        rows, held_out = self._split(model, data, held_out)
        model.judge_by(self._what_is_judged_by(model, rows, held_out))
        loop.plateau.best, loop.plateau.count = model.best, model.n_stalled
        if self.stop_on_overfit and held_out is None and not incremental:
            raise ValueError("stop_on_overfit needs X_val, or early_stopping=True")
        if held_out is not None:
            self._check_held_out(data, held_out, given)
            loop.validation = self._make_validation(model.network, held_out, given)
            loop.overfitting = Overfitting(self.tol, self.n_iter_no_change)
        model.optimizer = self._optimizer_to_go_on_with(model, is_other)
        batch_size = self._batch_rows(len(rows))
        n_steps = loop.max_iter * -(-len(rows) // batch_size)
        n_threads = self._count_threads(model.network, batch_size, n_steps)
        with gather_crew(n_threads) as crew:
            trainer = Trainer(
                model.network,
                model.optimizer,
                as_inputs(data.X, data.X.shape[1], model.network.dtype),
                data.Y,
                self._training_weight(data),
                batch_size=batch_size,
                crew=crew,
            )
            run = fit_first_order(trainer, loop, rows)
        model.take_in(loop, run)
        if run.stop_reason == "diverged":
            model.optimizer = self._new_optimizer(model)
        self._warn(run, incremental)
        self._warn_of_scores(run)
        return run

    def _make_loop(
        self, model: Model, max_iter: int, incremental: bool, callbacks: Callbacks
    ) -> Loop:
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        return Loop(
            schedule=self._make_schedule(),
            plateau=Plateau(self.tol, self.n_iter_no_change),
            random_state=model.random_state,
            max_iter=max_iter,
            shuffle=self.shuffle,
            early_stopping=self.early_stopping,
            stop_on_overfit=self.stop_on_overfit,
            param_tol=self.param_tol,
            n_samples_seen=model.n_samples_seen,
            n_samples_scheduled=model.n_samples_scheduled,
            callbacks=callbacks.functions,
            report=print if self.verbose else None,
        )

    def _tell(
        self,
        callbacks: Callbacks,
        epochs: Epochs | None,
        model: Model,
        loop: Loop,
        goes_on: bool,
    ) -> None:
        """Have the user's objects and scikit-learn's callbacks told of every epoch."""

        def snapshot(run: Run, ended: bool) -> Any:
            """The last epoch's model, or what would be had training ended there."""
            now = copy.copy(model)
            now.network = model.network.copy()
            if ended:
                restore_best(now.network, loop, run)
            now.optimizer = model.optimizer and model.optimizer.copy()
            now.random_state = copy_stream(model.random_state)
            now.take_in(loop, run)
            now.order = copy.copy(now.order)
            history = {name: list(column) for name, column in run.history.items()}
            twin = self._view(self.__dict__)
            twin._publish_first_order(now, replace(run, history=history), goes_on)
            return twin

        def end_epoch(run: Run) -> bool:
            logs = {name: column[-1] for name, column in run.history.items()}
            stops = callbacks.end_epoch(
                lambda: snapshot(run, ended=False), run.n_epochs - 1, logs
            )
            if epochs is None:
                return stops
            return epochs.end(lambda: vars(snapshot(run, ended=True))) or stops

        loop.before_training = lambda run: callbacks.begin(
            lambda: snapshot(run, ended=False)
        )
        loop.before_epoch = None if epochs is None else epochs.begin
        loop.after_epoch = end_epoch

    def _schedule_name(self) -> str:
        """Functions have none: one goes on with the epochs of another."""
        return self.learning_rate if isinstance(self.learning_rate, str) else "callable"

    def _what_is_judged_by(
        self, model: Model, rows: np.ndarray, held_out: Data | None
    ) -> tuple:
        """Names what the best value is of: values of the same can be compared."""
        if not self.early_stopping or held_out is None:
            return ("loss",)
        scoring = self.scoring
        if scoring is not None and not isinstance(scoring, str):
            scoring = "callable"
        if model.held_out is None:
            return "X_val", scoring, len(held_out.Y)
        return "held_out", scoring, len(rows), len(held_out.Y)

    def _make_schedule(self) -> Schedule:
        return make_schedule(
            self.learning_rate,
            self.learning_rate_init,
            power=self.power_t,
            decay_rate=self.decay_rate,
            decay_epochs=self.decay_epochs,
            restart_epochs=self.restart_epochs,
            warmup_epochs=self.warmup_epochs,
            max_iter=self.max_iter,
        )

    def _optimizer_to_go_on_with(self, model: Model, begins: bool) -> Optimizer:
        """The optimizer in the state that it was left in; η₀ if a schedule begins."""
        if any(model.network.dropout) and model.dropout_seed == 0:
            model.dropout_seed = int(model.random_state.randint(1, 2**31 - 1))
        optimizer = self._new_optimizer(model, model.optimizer)
        if begins:
            optimizer.learning_rate = self.learning_rate_init
        return optimizer

    def _new_optimizer(
        self, model: Model, earlier: Optimizer | None = None
    ) -> Optimizer:
        name = self.solver
        if name == "sgd" and self.momentum > 0:
            name = "nesterov" if self.nesterovs_momentum else "momentum"
        weight_decay = 0.01 if name == "adamw" else 0.0
        if self.weight_decay is not None:
            weight_decay = self.weight_decay
        return Optimizer(
            name,
            model.network.params.size,
            model.network.dtype,
            learning_rate=self.learning_rate_init,
            momentum=self.momentum,
            rho=self.rho,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            weight_decay=weight_decay,
            clip_norm=self.grad_clip_norm,
            seed=model.dropout_seed,
            earlier=earlier,
        )

    def _count_threads(self, network: Network, n_rows: int, n_steps: int) -> int:
        """Threads for so many steps of so many rows each."""
        if self.n_threads is None:
            return count_crew(network.layers, n_rows, PRODUCTS_OF_A_STEP * n_steps)
        return self.n_threads if _kernels.THREADS else 1

    def _batch_rows(self, n_samples: int) -> int:
        if self.batch_size == "auto":
            return min(200, n_samples)
        if self.batch_size == "full":
            return n_samples
        batch_size = int(self.batch_size)
        if batch_size > n_samples:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going "
                "to be clipped",
                stacklevel=6,
            )
        return min(batch_size, n_samples)

    def _split(
        self, model: Model, data: Data, held_out: Data | None
    ) -> tuple[np.ndarray, Data | None]:
        """Rows to train on, and data to validate by."""
        n_rows = len(data.Y)
        if held_out is not None or not self.early_stopping:
            if model.held_out is not None or model.count_rows() != n_rows:
                model.order, model.held_out = np.arange(n_rows), None
            return model.copy_order(), held_out
        n_held_out = math.ceil(self.validation_fraction * n_rows)
        # Rows once held out stay so: a score of rows trained on is worth nothing.
        if model.held_out is None or (len(model.held_out), model.count_rows()) != (
            n_held_out,
            n_rows,
        ):
            model.order, model.held_out = self._draw_split(model, data)
        return model.copy_order(), data.take(model.held_out)

    def _draw_split(self, model: Model, data: Data) -> tuple[np.ndarray, np.ndarray]:
        """Rows to train on and others, drawn as scikit-learn does."""
        rows, others = train_test_split(
            np.arange(len(data.Y)),
            random_state=model.random_state,
            test_size=self.validation_fraction,
            stratify=self._stratify_by(data),
        )
        if len(others) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' "
                "or the size of your dataset."
            )
        # The split stays scikit-learn's for every scorer that can judge it.
        if self.scoring is not None and self._describe_missing(data.Y[others]):
            judge = self._scorer(model.network, data.take(others))
            if not self._try(judge)[0]:
                rows, others = self._hold_out_every_class(data.Y, rows, others)
        return rows, others

    def _is_judged(self) -> bool:
        """Whether validation scores decide when training ends."""
        return self.early_stopping or self.stop_on_overfit

    def _check_held_out(self, data: Data, held_out: Data, given: bool) -> None:
        """Refuse rows by which no score can tell two models apart.

        Rows of X, drawn as scikit-learn draws them, are only warned about.
        """
        weights = held_out.sample_weight
        if weights is not None and not weights.any():
            raise ValueError(
                "Sample weights of the validation rows must contain at least one "
                "non-zero number."
            )
        Y = held_out.Y if weights is None else held_out.Y[weights > 0]
        if given and len(Y) < 2:
            raise ValueError(
                "The validation set is too small: X_val needs at least two rows of "
                "non-zero weight."
            )
        by_own_score = self.scoring is None and self._is_judged()
        if not by_own_score or not _are_alike(Y) or _are_alike(data.Y):
            return
        message = (
            f"All rows of {'y_val' if given else 'y that were held out'} have the same "
            "target: the score by which training is judged cannot tell good from bad "
            "by them. Give X_val and y_val with different targets, or a scoring that "
            "is meant for such rows."
        )
        if given:
            raise ValueError(message)
        warnings.warn(message, UndefinedMetricWarning, stacklevel=6)

    def _make_validation(self, network: Network, data: Data, given: bool) -> Validation:
        rows = network.as_data(data.X, data.Y, data.sample_weight)
        if self.scoring is None:
            return Validation(network.evaluator(rows), self._own_score(data))
        judge = self._scorer(network, data)
        missing = self._describe_missing(data.Y)
        if missing:
            can_judge, error = self._try(judge)
            if not can_judge:
                raise ValueError(
                    f"scoring={self.scoring!r} cannot judge "
                    f"{'X_val and y_val' if given else 'the rows held out'}: "
                    f"{missing}. Validate by rows with every class, or choose a scorer "
                    "that does without."
                ) from error
        return Validation(network.evaluator(rows), lambda outputs: judge())

    def _try(self, judge: Callable[[], float]) -> tuple[bool, ValueError | None]:
        """Whether the untrained network gets a score that is fit for its purpose."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                score = judge()
        except ValueError as error:
            return False, error
        return not (self._is_judged() and np.isnan(score)), None

    def _scorer(self, network: Network, data: Data) -> Callable[[], float]:
        scorer = self._tell_classes(check_scoring(self, scoring=self.scoring))
        settings = {}
        if data.sample_weight is not None and _takes_weights(scorer):
            settings["sample_weight"] = data.sample_weight

        def judge() -> float:
            return float(scorer(self._as_fitted(network), data.X, data.y, **settings))

        return judge

    def _as_fitted(self, network: Network) -> FirstOrderFit:
        """An estimator like this one that has been fitted to that network."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        # The rows that it is asked about have been validated, and lost their names.
        twin.__dict__.pop("feature_names_in_", None)
        twin._publish(Model(network, np.random.RandomState(0)))
        return twin

    def _warn(self, run: Run, incremental: bool) -> None:
        diverged = self._divergence(run.history["loss"], incremental)
        if run.stop_reason == "interrupted":
            warnings.warn("Training interrupted by user.", stacklevel=6)
        elif diverged is not None:
            kept = "best validation score" if self.early_stopping else "last epoch"
            warnings.warn(
                f"Training diverged: {diverged}. The parameters of the {kept} are "
                f"kept. {AGAINST_DIVERGENCE}",
                ConvergenceWarning,
                stacklevel=6,
            )
        elif run.stop_reason == "max_iter" and not incremental:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached "
                "and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=6,
            )

    def _warn_of_scores(self, run: Run) -> None:
        scores = run.history.get("validation_score", [])
        if not scores or not self._is_judged() or run.stop_reason == "diverged":
            return
        if np.isnan(scores).all():
            warnings.warn(
                f"All {len(scores)} validation scores were NaN: no epoch could be "
                "judged by them. Is scoring defined for the validation rows?",
                UndefinedMetricWarning,
                stacklevel=6,
            )

    def _divergence(self, losses: list[float], incremental: bool) -> str | None:
        """What the training loss did in which epoch, if it is that of divergence."""
        # A warm start has no first loss of its own, and a part of the data none at all.
        earlier = self.__dict__.get("loss_curve_", []) if self.warm_start else []
        first = math.inf if incremental else max([*earlier[:1], *losses[:1]], default=0)
        epoch = epoch_of_divergence(losses, first)
        if epoch is None:
            return None
        loss = losses[epoch - 1]
        before = f" from {losses[0]:.3g}" if epoch > 1 else ""
        return f"the training loss went{before} to {loss:.3g} in epoch {epoch}"

    def _publish_first_order(self, model: Model, run: Run, goes_on: bool) -> None:
        self._publish(model)
        self.history_ = run.history
        self.loss_curve_ = self._extend("loss_curve_", "loss", goes_on)
        self.loss_ = run.history["loss"][-1] if run.n_epochs else float("nan")
        self.n_iter_ = run.n_epochs
        self.stop_reason_ = run.stop_reason
        self.overfit_epoch_ = run.overfit_epoch
        self.best_loss_ = None if self.early_stopping else -model.best
        validated = self.early_stopping or "validation_score" in run.history
        scores = self._extend("validation_scores_", "validation_score", goes_on)
        losses = self._extend("validation_loss_curve_", "validation_loss", goes_on)
        best = model.best if self.early_stopping else -np.inf
        if best == -np.inf:
            best = max((s for s in scores if not np.isnan(s)), default=np.nan)
        self.validation_scores_ = scores if validated else None
        self.validation_loss_curve_ = losses if validated else None
        self.best_validation_score_ = best if validated else None

    def _extend(self, attribute: str, column: str, goes_on: bool) -> list[float]:
        """This fit's entries, behind those of the fits that it goes on from."""
        earlier = getattr(self, attribute, None) if goes_on else None
        return [*(earlier or []), *self.history_.get(column, [])]


def _are_alike(Y: np.ndarray) -> bool:
    """Whether all rows are the same."""
    return bool((Y[0] == Y).all())


def _takes_weights(scorer: Callable) -> bool:
    """Whether a scorer, or the metric in it, has a parameter for sample weights."""
    metric = getattr(scorer, "_score_func", scorer)
    return "sample_weight" in signature(metric).parameters
