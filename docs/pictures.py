"""The drawings of the Learn pages, one function each: `python docs/pictures.py FOLDER`.

With a .png in place of the folder: README's picture. The functions are named as the
pages that show them. Whatever the library can compute, it computes, on data that
scikit-learn brings.
"""

import json
import sys
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import sklearn.neural_network
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor, Network
from fastmlp.fitting import fit_network
from fastmlp.head import Head
from fastmlp.layers import Conv, MaxPool
from fastmlp.listeners import Functions
from fastmlp.recipe import Recipe
from fastmlp.schedules import ScheduleSettings

BLUE, ORANGE, GREEN, PURPLE, GRAY = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#a0408a",
    "#777777",
)
STEPS = Path(__file__).resolve().parent.parent / "bench" / "results" / "steps.json"
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "font.size": 10,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "svg.hashsalt": "fastmlp",  # the same drawing gives the same file
}


def new_figure(n_panels, height=3.4, width=9.0):
    """A figure with panels side by side, and the panels."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, n_panels, squeeze=False)[0]


def digits():
    """Training and test rows of the digits, pixels between 0 and 1."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X / 16, y, test_size=0.3, stratify=y, random_state=0)


def fit(model, *rows, **held_out):
    """The fitted model; that max_iter was reached is what we want."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*rows, **held_out)


# -- how training moves


def gradient_descent():
    """A function, its tangent, and three step sizes."""
    figure, (left, right) = new_figure(2)
    x = np.linspace(-1.6, 2.2, 200)
    left.plot(x, x**2, color="black")
    at, slope = 1.3, 2.6
    left.plot(x, at**2 + slope * (x - at), "--", color=GRAY)
    for step, color in [(0.4, GREEN), (1.5, ORANGE)]:
        new, promised = at - step, at**2 - slope * step
        left.plot([new, new], [promised, new**2], ":", color=color)
        left.plot(new, new**2, "o", color=color)
        left.text(new - 0.1, new**2 + 0.35, f"step {step}", color=color, ha="right")
    left.plot(at, at**2, "o", color="black")
    left.set(title="The tangent is right nearby only", xlabel="θ", ylabel="J(θ)")
    left.set(ylim=(-3, 4))
    for rate, color in [(0.1, BLUE), (0.5, GREEN), (0.95, ORANGE), (1.02, PURPLE)]:
        path = 1.3 * (1 - 2 * rate) ** np.arange(16)
        right.semilogy(
            path**2 + 1e-9, "o-", markersize=3, color=color, label=f"η = {rate}"
        )
    right.set(title="J after each step, J(θ) = θ²", xlabel="step", ylim=(1e-9, 1e2))
    right.legend(ncols=2, loc="lower left")
    return figure


def line_data():
    """Points whose best line lies in a narrow valley."""
    x = np.linspace(-1, 3, 30)
    return x.reshape(-1, 1), 0.8 * x + 0.5 + np.random.RandomState(0).normal(0, 0.3, 30)


def height_map(axes, X, y, reach=2.2):
    """Contours of J over intercept and slope; marks and returns the minimum."""
    network = Network([1, 1], loss="squared_error")
    best = np.linalg.lstsq(np.column_stack([X, np.ones(len(X))]), y, rcond=None)[0]
    slopes = best[0] + np.linspace(-reach, reach, 81)
    intercepts = best[1] + np.linspace(-reach, reach, 81)
    heights = np.empty((81, 81))
    for i, slope in enumerate(slopes):
        for j, intercept in enumerate(intercepts):
            network.params[:] = slope, intercept
            heights[i, j] = network.loss(X, y)
    levels = (
        heights.min() + (heights.max() - heights.min()) * np.linspace(0, 1, 13) ** 2
    )
    axes.contour(intercepts, slopes, heights, levels, colors=GRAY, linewidths=0.6)
    axes.plot(best[1], best[0], "*", color="black", markersize=10, zorder=3)
    axes.set(xlabel="intercept", ylabel="slope", aspect="equal")
    return best


def walk(X, y, start, solver, rate, n_steps):
    """The path of a full-batch solver over slope and intercept."""
    network = Network([1, 1], loss="squared_error")
    network.params[:] = start
    path = [network.params.copy()]
    recipe = Recipe(
        Head(network.loss_name),
        solver=solver,
        schedule=ScheduleSettings(learning_rate_init=rate),
        n_epochs=n_steps,
        max_fun=10_000,
        tol=1e-9,
    )
    follow = Functions([lambda *_: path.append(network.params.copy())])
    fit_network(network, X, y, recipe, listeners=[follow])
    return np.array(path)


def steepest_descent():
    """The zig-zag in a valley, and the same with a fixed rate."""
    figure, panels = new_figure(2, height=4.2)
    X, y = line_data()
    for axes, solver, name in [
        (panels[0], "gd", "Gradient descent, η = 0.3"),
        (panels[1], "steepest", "Steepest descent"),
    ]:
        best = height_map(axes, X, y)
        path = walk(X, y, best + [-0.4, 2.0], solver, 0.3, 25)
        axes.plot(path[:, 1], path[:, 0], "o-", color=BLUE, markersize=3.5)
        axes.set_title(name)
    return figure


def newton():
    """A minimum, a maximum and a saddle, by the eigenvalues of the Hessian."""
    figure, panels = new_figure(3, height=3.3)
    grid = np.linspace(-1, 1, 61)
    x, y = np.meshgrid(grid, grid)
    for axes, (a, b), name in [
        (panels[0], (2, 1), "strict minimum"),
        (panels[1], (-2, -1), "strict maximum"),
        (panels[2], (2, -1), "saddle"),
    ]:
        axes.contourf(x, y, (a * x**2 + b * y**2) / 2, 15, cmap="Blues")
        arrows = np.linspace(-0.8, 0.8, 7)
        u, v = np.meshgrid(arrows, arrows)
        axes.quiver(u, v, -a * u, -b * v, color=ORANGE, width=0.006)
        axes.set(title=name, xlabel=f"eigenvalues {a}, {b}", xticks=[], yticks=[])
        axes.set_aspect("equal")
    return figure


def batches():
    """Batches of 1, 20 and all rows: on the valley, and by epochs on the digits."""
    figure, (left, right) = new_figure(2, height=4.0)
    X, y = line_data()
    best = height_map(left, X, y)
    X_train, X_test, y_train, y_test = digits()
    for size, color in [(1, ORANGE), (10, GREEN), (30, BLUE)]:
        network = Network([1, 1], loss="squared_error")
        network.params[:] = best + [-0.4, 2.0]
        path, random = [network.params.copy()], np.random.RandomState(1)
        for _ in range(15 * size if size < 30 else 120):
            rows = random.choice(30, size, replace=False)
            _, gradient = network.loss_and_grad(X[rows], y[rows])
            network.params -= 0.1 * gradient
            path.append(network.params.copy())
        path = np.array(path)
        left.plot(
            path[:, 1], path[:, 0], ".-", color=color, linewidth=0.9, markersize=3
        )
    left.set_title("15 to 150 steps, η = 0.1")
    for size, color in [(1, ORANGE), (32, GREEN), (len(X_train), BLUE)]:
        model = MLPClassifier(
            (30,), solver="sgd", batch_size=size, learning_rate_init=0.02, max_iter=25,
            momentum=0.0, tol=0, n_iter_no_change=100, random_state=0,
        )  # fmt: skip
        losses = fit(model, X_train, y_train).loss_curve_
        n_steps = -(-len(X_train) // size)
        right.semilogy(
            losses, color=color, label=f"{size} rows, {n_steps} steps an epoch"
        )
    right.set(title="Digits, η = 0.02", xlabel="epoch", ylabel="loss of the epoch")
    right.legend()
    return figure


# -- what a network computes


def neuron():
    """The delta rule on a logical AND: the line, and the error by epochs."""
    figure, (left, right) = new_figure(2)
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
    y = X.all(axis=1).astype(float)
    w, b, errors = np.array([-0.5, 0.3]), 0.2, []
    x = np.array([-0.3, 1.4])
    for epoch in range(2001):
        if epoch in (0, 50, 2000):
            color = {0: GRAY, 50: GREEN, 2000: BLUE}[epoch]
            left.plot(x, -(b + w[0] * x) / w[1], color=color, label=f"epoch {epoch}")
        error = 0.0
        for x_i, y_i in zip(X, y, strict=True):
            output = 1 / (1 + np.exp(-(w @ x_i + b)))
            delta = (y_i - output) * output * (1 - output)
            w, b = w + 0.5 * delta * x_i, b + 0.5 * delta
            error += (y_i - output) ** 2 / 2
        errors.append(error)
    left.scatter(*X.T, c=[ORANGE if v else "black" for v in y], zorder=3, s=50)
    left.set(title="Where ŷ = ½", xlabel="x₁", ylabel="x₂", ylim=(-0.4, 1.8))
    left.set(xlim=(-0.3, 2.3))
    left.legend(loc="upper right")
    right.semilogy(errors, color=BLUE)
    right.set(title="Σ ½(y − ŷ)²", xlabel="epoch")
    return figure


def draw_network(axes, sizes, arrows):
    """Circles, lines; an arrow is (from layer, to layer, height, text, colour)."""
    for layer, size in enumerate(sizes):
        for unit in range(size):
            place = unit - (size - 1) / 2
            if layer + 1 < len(sizes):
                above = np.arange(sizes[layer + 1]) - (sizes[layer + 1] - 1) / 2
                for other in above:
                    axes.plot(
                        [layer, layer + 1], [place, other], color="#bbbbbb", lw=0.7
                    )
            axes.plot(
                layer, place, "o", markersize=17, color="white", mec=BLUE, zorder=3
            )
    for begin, end, height, text, color in arrows:
        axes.annotate(
            "",
            (end, height),
            (begin, height),
            arrowprops={"arrowstyle": "->", "color": color, "linewidth": 1.6},
        )
        middle = (begin + end) / 2
        axes.text(middle, height + 0.12, text, color=color, ha="center", va="bottom")
    axes.set_axis_off()


def forward_pass():
    """Three layers, with the shape of what goes through them."""
    figure, (axes,) = new_figure(1, height=3.8, width=8)
    draw_network(
        axes,
        [3, 4, 4, 2],
        [
            (0, 1, 2.1, "A¹ = σ(X W¹ + b¹)", BLUE),
            (1, 2, 2.1, "A² = σ(A¹ W² + b²)", BLUE),
            (2, 3, 2.1, "Z³ = A² W³ + b³", BLUE),
        ],
    )
    for layer, text in enumerate(
        ["X\n(rows, 3)", "A¹\n(rows, 4)", "A²\n(rows, 4)", "Z³"]
    ):
        axes.text(layer, -2.3, text, ha="center", va="top")
    axes.set_ylim(-3.2, 2.8)
    return figure


def backpropagation():
    """The way of δ, and the gradient beside finite differences."""
    figure, (left, right) = new_figure(2, height=3.8)
    draw_network(
        left,
        [3, 4, 2],
        [(2, 1, -2.4, "δ¹ = (δ² W²ᵀ) ⊙ σ′(z¹)", ORANGE), (0, 1, 2.0, "a¹", BLUE),
         (1, 2, 2.0, "z², loss, δ²", BLUE)],
    )  # fmt: skip
    left.set_ylim(-2.8, 2.6)
    random = np.random.RandomState(0)
    X, y = random.normal(size=(20, 3)), random.randint(0, 2, 20).astype(float)
    network = Network([3, 4, 2], activation="tanh", loss="log_loss", random_state=0)
    start = network.params.copy()
    _, gradient = network.loss_and_grad(X, y)
    distances, errors = 10.0 ** np.arange(-1, -13, -0.5), []
    for h in distances:
        differences = []
        for direction in np.eye(len(start)):
            network.params[:] = start + h * direction
            high = network.loss(X, y)
            network.params[:] = start - h * direction
            differences.append((high - network.loss(X, y)) / (2 * h))
        errors.append(np.abs(differences - gradient).max())
    right.loglog(distances, errors, "o-", color=BLUE, markersize=4)
    right.loglog(distances[:9], distances[:9] ** 2 / 10, "--", color=GRAY)
    right.text(2e-3, 3e-8, "∝ h²", color=GRAY)
    right.set(title="Largest difference of the two gradients", xlabel="h")
    return figure


def draw_grid(axes, place, numbers, name, marked=(), color="white"):
    """Numbers in cells, those marked in colour; returns where the grid ends."""
    height, width = numbers.shape
    for (y, x), number in np.ndenumerate(numbers):
        corner = (place + x, y - height / 2)
        fill = color if (y, x) in marked else "white"
        axes.add_patch(Rectangle(corner, 1, 1, facecolor=fill, edgecolor=GRAY))
        text = f"{number + 0:g}".replace("-", "\N{MINUS SIGN}")
        axes.text(corner[0] + 0.5, corner[1] + 0.5, text, ha="center", va="center")
    axes.text(place + width / 2, -height / 2 - 0.15, name, ha="center", va="bottom")
    return place + width


def draw_equation(axes, title, signs, *grids):
    """Grids side by side, a sign behind each but the last."""
    place = 0
    for grid, sign in zip(grids, [*signs, ""], strict=True):
        end = draw_grid(axes, place, *grid)
        axes.text(end + 0.6, 0, sign, ha="center", va="center", fontsize=14)
        place = end + 1.2
    axes.set_title(title, loc="left")
    axes.set(xlim=(-0.1, 13), ylim=(2.1, -2.8), aspect="equal")
    axes.set_axis_off()


def show_outputs(shape, layer):
    """A network of that layer: behind it, 4 outputs that are the layer's own."""
    network = Network([shape, layer, 4], activation="identity", loss="squared_error")
    network.weights[-1][:] = np.eye(4)
    for biases in network.biases:
        biases[:] = 0
    return network


def convolve_and_back(x, kernel, delta):
    """K ⋆ x, and what its δ is to the kernel and to the image."""
    network = show_outputs((3, 3, 1), Conv(1, 2, padding="valid"))
    network.weights[0][:, :, 0, 0] = kernel
    row, slopes = x.reshape(1, 9), delta.reshape(1, 4)
    z = network.predict(row)
    # The slope of ½(z − y)² is δ where y is z − δ.
    gradient = network.loss_and_grad(row, z - slopes)[1][:4]
    back = network.input_gradients(row, slopes)
    return z.reshape(2, 2), gradient.reshape(2, 2), back.reshape(3, 3)


def convolution():
    """A kernel on a small image, the way back, and where the δ of a maximum goes."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    (first, second), (third, fourth) = figure.subplots(2, 2)
    seen, found = "#bcdcf0", "#f7d3bb"
    x = np.array([[1.0, 2, 0], [0, 1, 3], [2, 0, 1]])
    kernel, delta = np.array([[1.0, 0], [-1, 2]]), np.array([[1.0, -1], [0, 2]])
    z, gradient, back = convolve_and_back(x, kernel, delta)
    window = (x, "x", {(0, 1), (0, 2), (1, 1), (1, 2)}, seen)
    draw_equation(
        first, "z = K ⋆ x", "⋆=", window, (kernel, "K"), (z, "z", {(0, 1)}, found)
    )
    draw_equation(
        second, "∂J/∂K = x ⋆ δ", "⋆=", window, (delta, "δ"),
        (gradient, "∂J/∂K", {(0, 1)}, found),
    )  # fmt: skip
    draw_equation(
        third, "∂J/∂x = δ ⋆ rot180(K)", "⋆=",
        (np.pad(delta, 1), "δ, zeros around", {(1, 1), (1, 2), (2, 1), (2, 2)}, seen),
        (kernel[::-1, ::-1], "rot180(K)"), (back, "∂J/∂x", {(1, 1)}, found),
    )  # fmt: skip
    image = np.array([[1.0, 5, 2, 2], [3, 0, 2, 1], [0, 1, 4, 6], [7, 2, 3, 0]])
    pooling = show_outputs((4, 4, 1), MaxPool(2))
    routed = pooling.input_gradients(image.reshape(1, 16), delta.reshape(1, 4))
    maxima = {(0, 1), (0, 2), (2, 3), (3, 0)}
    draw_equation(
        fourth, "Max pooling: δ goes to the first maximum", " →",
        (image, "image", maxima, seen), (delta, "δ of the maxima"),
        (routed.reshape(4, 4), "∂J/∂image", maxima, found),
    )  # fmt: skip
    return figure


# -- what keeps a network from learning by heart


def penalties():
    """Weights of a linear model of diabetes, by strength and kind of penalty."""
    figure, panels = new_figure(2)
    X, y = load_diabetes(return_X_y=True)
    X, y = StandardScaler().fit_transform(X), (y - y.mean()) / y.std()
    strengths = np.geomspace(1e-1, 3e2, 25)
    for axes, ratio, name in [(panels[0], 0.0, "L2"), (panels[1], 1.0, "L1")]:
        weights = []
        for alpha in strengths:
            model = MLPRegressor(
                hidden_layer_sizes=(), solver="gd" if ratio else "lbfgs", alpha=alpha,
                l1_ratio=ratio, learning_rate_init=0.01, max_iter=3000, random_state=0,
            )  # fmt: skip
            weights.append(fit(model, X, y).coefs_[0].ravel())
        axes.semilogx(strengths, weights, linewidth=1.3)
        axes.axhline(0, color="black", linewidth=0.6)
        axes.set(title=f"{name}: ten weights", xlabel="alpha", ylim=(-0.75, 0.75))
    return figure


def dropout():
    """A mask, and what it does to a large network of few images."""
    figure, (left, right) = new_figure(2)
    mask = np.random.RandomState(0).uniform(size=(8, 24)) >= 0.5
    left.imshow(mask, cmap="Blues", vmin=-0.3, vmax=1.3, aspect="auto")
    left.set(title="Units of one layer kept, p = ½", xlabel="unit", ylabel="row")
    X, X_test, y, y_test = digits()
    for rate, color in [(0.0, ORANGE), (0.5, BLUE)]:
        model = MLPClassifier(
            (256, 256), dropout=rate, max_iter=80, batch_size=50, tol=0,
            n_iter_no_change=100, random_state=0,
        )  # fmt: skip
        fit(model, X[:300], y[:300], X_val=X_test, y_val=y_test)
        right.plot(model.validation_loss_curve_, color=color, label=f"dropout {rate}")
        right.plot(model.loss_curve_, ":", color=color)
    right.set(title="300 digits: validation, training (dotted)", xlabel="epoch")
    right.set(ylim=(0, 0.8), ylabel="log-loss")
    right.legend()
    return figure


def batch_normalisation():
    """Ten layers of relu: how far their outputs spread, and how fast they learn."""
    figure, (left, right) = new_figure(2)
    X, _, y, _ = digits()
    for normalised, color in [(False, ORANGE), (True, BLUE)]:
        model = MLPClassifier(
            (32,) * 10, "relu", solver="sgd", learning_rate_init=0.1, max_iter=20,
            batch_norm=normalised, batch_size=50, tol=0, n_iter_no_change=100,
            random_state=0,
        )  # fmt: skip
        fit(model, X, y)
        name = "with batch norm" if normalised else "without"
        right.plot(model.loss_curve_, color=color, label=name)
        spread = [np.std(a) for a in model.hidden_activations(X)]
        left.semilogy(
            range(1, 11), np.maximum(spread, 1e-6), "o-", color=color, label=name
        )
    left.set(title="Standard deviation of a layer's outputs", xlabel="layer")
    right.set(title="Ten layers, η = 0.1", xlabel="epoch", ylabel="training loss")
    right.legend(loc="upper right", bbox_to_anchor=(1, 0.75))
    return figure


# -- how fast, and how long


def optimizers():
    """Six optimizers with one learning rate each, on the digits."""
    figure, panels = new_figure(2)
    X, _, y, _ = digits()
    methods = {
        "sgd": ({"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.1}, GRAY),
        "momentum": (
            {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.1},
            ORANGE,
        ),
        "Nesterov": ({"solver": "sgd", "learning_rate_init": 0.1}, "#e69f00"),
        "AdaGrad": ({"solver": "adagrad", "learning_rate_init": 0.03}, GREEN),
        "RMSProp": ({"solver": "rmsprop", "learning_rate_init": 0.003}, PURPLE),
        "Adam": ({"solver": "adam", "learning_rate_init": 0.003}, BLUE),
    }
    for name, (settings, color) in methods.items():
        model = MLPClassifier(
            (64,), max_iter=40, batch_size=50, tol=0, n_iter_no_change=100,
            random_state=0, **settings,
        )  # fmt: skip
        fit(model, X, y)
        panels[0].semilogy(model.loss_curve_, color=color, label=name)
    panels[0].set(title="Digits: training loss", xlabel="epoch")
    panels[0].legend(ncols=2)
    t = np.arange(1, 201)
    panels[1].plot(t, 1 / (1 - 0.9**t), color=ORANGE, label="1/(1 − β₁ᵗ), β₁ = 0.9")
    panels[1].plot(
        t, 1 / (1 - 0.999**t) ** 0.5, color=BLUE, label="1/√(1 − β₂ᵗ), β₂ = 0.999"
    )
    panels[1].set(title="Adam's bias corrections", xlabel="step t", yscale="log")
    panels[1].legend()
    return figure


def stopping():
    """Training and validation loss of few images, the best epoch marked."""
    figure, (left, right) = new_figure(2)
    X, X_test, y, y_test = digits()
    model = MLPClassifier(
        (200,), alpha=0, max_iter=150, batch_size=20, tol=0, n_iter_no_change=200,
        learning_rate_init=0.002, random_state=0,
    )  # fmt: skip
    fit(model, X[:150], y[:150], X_val=X_test, y_val=y_test)
    losses = model.validation_loss_curve_
    best = int(np.argmin(losses))
    left.plot(model.loss_curve_, color=ORANGE, label="training")
    left.plot(losses, color=BLUE, label="validation")
    left.axvline(best, color=GRAY, linestyle="--")
    left.text(best + 2, 1.5, f"least at epoch {best + 1}", color=GRAY)
    left.set(title="Loss, 150 digits", xlabel="epoch", ylim=(0, 2))
    left.legend()
    right.plot(model.validation_scores_, color=BLUE)
    right.set(title="Validation accuracy", xlabel="epoch")
    return figure


# -- worked examples


def xor():
    """What no line can part, two hidden units can."""
    figure, panels = new_figure(3, height=3.3)
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
    y = np.array([0, 1, 1, 0])
    grid = np.linspace(-0.4, 1.4, 101)
    places = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    for axes, sizes in zip(panels, [(), (2,), (4,)], strict=True):
        model = MLPClassifier(sizes, "tanh", solver="lbfgs", alpha=1e-3, random_state=0)
        fit(model, X, y)
        p = model.predict_proba(places)[:, 1].reshape(101, 101)
        axes.contourf(grid, grid, p, np.linspace(0, 1, 11), cmap="PuOr_r", alpha=0.8)
        axes.contour(grid, grid, p, [0.5], colors="black")
        axes.scatter(*X.T, c=[ORANGE if v else "black" for v in y], s=60, zorder=3)
        axes.set(
            title=f"{sum(sizes) or 'no'} hidden units", xlabel="x₁", aspect="equal"
        )
        axes.set(xticks=[0, 1], yticks=[0, 1])
    panels[0].set_ylabel("x₂")
    return figure


def digits_example():
    """Images, what the first layer looks for, and the images that are taken wrongly."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    parts = figure.subfigures(1, 3)
    X, X_test, y, y_test = digits()
    model = fit(MLPClassifier((32,), alpha=1, max_iter=100, random_state=0), X, y)
    predicted = model.predict(X_test)
    wrong = np.flatnonzero(predicted != y_test)
    largest = np.argsort(-np.abs(model.coefs_[1]).sum(axis=1))[:16]
    sets = [
        ("Training images", X[:16], "gray_r", [str(label) for label in y[:16]]),
        ("Weights of 16 hidden units", model.coefs_[0].T[largest], "PuOr", [""] * 16),
        (
            f"{len(wrong)} of {len(y_test)} wrong",
            X_test[wrong[:16]],
            "gray_r",
            [f"{y_test[i]} → {predicted[i]}" for i in wrong[:16]],
        ),
    ]
    for part, (title, images, colors, labels) in zip(parts, sets, strict=True):
        part.suptitle(title, weight="bold")
        panels = part.subplots(4, 4).ravel()
        for axes in panels:
            axes.set_axis_off()
        for axes, image, label in zip(panels, images, labels, strict=False):
            axes.imshow(image.reshape(8, 8), cmap=colors)
            axes.set_title(label, fontsize=8, pad=1, weight="normal")
    return figure


PICTURES = [
    gradient_descent, steepest_descent, newton, batches, neuron, forward_pass,
    backpropagation, convolution, penalties, dropout, batch_normalisation, optimizers,
    stopping, xor, digits_example,
]  # fmt: skip


def draw_all(folder):
    """Every drawing as SVG; a file is written only where it has changed."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        with mpl.rc_context(STYLE):
            new = folder / f"{picture.__name__}.new.svg"
            picture().savefig(new, metadata={"Date": None})
        old = folder / f"{picture.__name__}.svg"
        if old.exists() and old.read_bytes() == new.read_bytes():
            new.unlink()
        else:
            new.replace(old)


def readme():
    """Two loss curves that are one, and how long others take (bench/results)."""
    figure, (left, right) = new_figure(2, height=3.2)
    X, y = load_digits(return_X_y=True)
    settings = {
        "hidden_layer_sizes": (100,),
        "max_iter": 100,
        "tol": 0,
        "random_state": 0,
    }
    theirs = fit(sklearn.neural_network.MLPClassifier(**settings), X / 16, y)
    ours = fit(MLPClassifier(**settings), X / 16, y)
    left.semilogy(
        theirs.loss_curve_, color="#f5a742", linewidth=6, label="scikit-learn"
    )
    left.semilogy(ours.loss_curve_, color="#12355b", linewidth=1.4, label="fastmlp")
    left.set(title="The same model: training loss on digits", xlabel="epoch")
    left.legend()
    rows = json.loads(STEPS.read_text(encoding="utf-8"))["rows"]
    shapes = list(dict.fromkeys(row["shape"] for row in rows))
    peers = {"jax": ("JAX", PURPLE), "torch": ("PyTorch", GREEN)}
    peers["sklearn"] = ("scikit-learn", "#f5a742")
    for i, (peer, (name, color)) in enumerate(peers.items()):
        ratios = [row["ratio"] for row in rows if row["peer"] == peer]
        places = np.arange(len(shapes)) + (i - 1) * 0.27
        right.barh(places, np.array(ratios) - 1, 0.25, left=1, color=color, label=name)
    right.axvline(1, color="#12355b")
    right.set_yticks(range(len(shapes)), shapes)
    right.set(title="Time of a step ÷ fastmlp's", xscale="log", xlim=(0.9, 100))
    right.xaxis.set_major_formatter("{x:g} ×")
    right.invert_yaxis()
    right.legend(loc="center right", bbox_to_anchor=(1, 0.42))
    return figure


def main(target):
    """Draw README's picture into a .png, or all others into a folder."""
    if not target.endswith(".png"):
        draw_all(target)
        return
    with mpl.rc_context(STYLE):
        readme().savefig(target, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1])
