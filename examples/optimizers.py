"""Seven ways down the same valley: draws optimizers.png.

Usage: python examples/optimizers.py [FILE]

A straight line is fitted to points. The network has no hidden layer, so its two
parameters, slope and intercept, span a map, and its objective is the height on it. Every
method walks it from the same start, by fastmlp's own steps on all points. Where a method
has a learning rate, it is the power of two that takes the fewest steps.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fastmlp import Network
from fastmlp.optimizers import Optimizer
from fastmlp.second_order import fit_full_batch
from fastmlp.training import Trainer

START = np.array([-0.75, 2.32])  # slope and intercept
MOST_STEPS = 200
RATES = [2.0**-k for k in range(-2, 9)]
# A method has arrived where all later steps stay below this share of the start's height.
ARRIVED = 0.01

BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#a0408a"
METHODS = {
    "gd": (
        "Gradient descent",
        BLUE,
        "straight down the slope,\nalways at the same rate",
    ),
    "steepest": (
        "Steepest descent",
        BLUE,
        "down as far as it goes,\nthen a right angle",
    ),
    "momentum": (
        "Momentum",
        ORANGE,
        "a heavy ball: it keeps rolling,\nand rolls too far",
    ),
    "adagrad": ("AdaGrad", GREEN, "each parameter its own rate,\nwhich only shrinks"),
    "rmsprop": ("RMSProp", GREEN, "each parameter its own rate,\nwhich can grow again"),
    "adam": ("Adam", GREEN, "RMSProp and momentum\ntogether"),
    "newton-cg": (
        "Newton",
        PURPLE,
        "sees the valley's curvature\nand jumps to its lowest point",
    ),
}
HAS_NO_RATE = ("steepest", "newton-cg")


def draw_points():
    """Points around a line. All x are positive, which makes the valley narrow."""
    random = np.random.RandomState(0)
    X = np.linspace(0, 2, 24).reshape(-1, 1)
    return X, 0.8 * X + 0.5 + random.normal(scale=0.25, size=X.shape)


def walk(method, rate, X, y):
    """The parameters before the first and after every step, and how high each is."""
    network = Network([1, 1], loss="squared_error")
    network.params[:] = START
    path, heights = [START], [network.loss(X, y)]

    def take_down(*_):
        path.append(network.params.copy())
        heights.append(network.loss(X, y))
        return not heights[-1] < 100 * heights[0]  # it flies away

    if method in ("gd", "steepest", "newton-cg"):
        settings = {"max_iter": MOST_STEPS, "max_fun": 10 * MOST_STEPS, "gtol": 1e-10}
        settings |= {"learning_rate": rate, "callbacks": [take_down]}
        fit_full_batch(network, X, y, None, solver=method, **settings)
    else:
        optimizer = Optimizer(method, 2, network.dtype, learning_rate=rate)
        trainer = Trainer(network, optimizer, X, y, batch_size=len(X))
        for _ in range(MOST_STEPS):
            trainer.run_epoch(np.arange(len(X)))  # one batch of all points: one step
            if take_down():
                break
    return np.array(path), np.array(heights)


def count_steps(heights, lowest):
    """Steps until all later ones are near the lowest point, infinite if none is."""
    near = heights - lowest <= ARRIVED * (heights[0] - lowest)
    if not near[-1]:
        return np.inf
    return len(near) - int(np.argmin(near[::-1]))


def find_best(method, X, y, lowest):
    """Steps, rate and path with the rate that takes the fewest steps."""
    tried = []
    for rate in [1.0] if method in HAS_NO_RATE else RATES:
        path, heights = walk(method, rate, X, y)
        tried.append((count_steps(heights, lowest), rate, path))
    return min(tried, key=lambda entry: entry[:2])


def draw_line_fit(axes, X, y, minimum):
    ends = np.array([-0.1, 2.1])
    axes.plot(X, y, "o", color="#888888", markersize=4)
    for (slope, intercept), style in [(START, "--"), (minimum, "-")]:
        axes.plot(ends, slope * ends + intercept, style, color="black", linewidth=1.8)
    axes.text(0.1, 2.45, "the start", ha="left")
    axes.text(2.05, 2.5, "the best line", ha="right")
    axes.set(xlim=ends, ylim=(0, 2.9), xlabel="x", ylabel="y")
    axes.set_title("The task: a line through points", weight="bold")


def draw_map(axes, network, X, y, minimum, lowest):
    """Contour lines of the objective, and the neighbourhood of its minimum."""
    slopes = np.linspace(minimum[0] - 2.25, minimum[0] + 1.35, 121)
    intercepts = np.linspace(minimum[1] - 1.45, minimum[1] + 2.15, 121)
    heights = np.empty((len(intercepts), len(slopes)))
    for row, intercept in enumerate(intercepts):
        for column, slope in enumerate(slopes):
            network.params[:] = slope, intercept
            heights[row, column] = network.loss(X, y) - lowest
    network.params[:] = START
    top = network.loss(X, y) - lowest
    levels = top * np.array([0, 0.1, 0.4, 1, 2, 3.5, 6, 10, 16, 25])
    axes.contourf(slopes, intercepts, heights, levels, cmap="Greys_r", alpha=0.35)
    axes.contour(slopes, intercepts, heights, levels, colors="#b0b0b0", linewidths=0.6)
    axes.contour(slopes, intercepts, heights, [ARRIVED * top], colors="black")
    axes.set(aspect="equal", xlabel="slope", ylabel="intercept")


def draw(results, X, y, minimum, lowest, file):
    figure = Figure(figsize=(12, 7.4), layout="constrained")
    panels = figure.subplots(2, 4).ravel()
    draw_line_fit(panels[0], X, y, minimum)
    network = Network([1, 1])
    for axes, (method, (steps, _, path)) in zip(
        panels[1:], results.items(), strict=True
    ):
        name, color, caption = METHODS[method]
        draw_map(axes, network, X, y, minimum, lowest)
        walked = path[: steps + 1].T
        axes.plot(*walked, "o-", color=color, markersize=3.5, linewidth=1.5)
        axes.plot(*START, "o", color="black", markersize=7)
        axes.plot(*minimum, "*", color="black", markersize=7)
        axes.set_title(f"{name}: {steps} step{'s' * (steps != 1)}", weight="bold")
        axes.text(0.03, 0.04, caption, transform=axes.transAxes, color=color)
    figure.savefig(file, dpi=150)


def main():
    X, y = draw_points()
    network = Network([1, 1])
    fit_full_batch(
        network,
        X,
        y,
        None,
        solver="newton-cg",
        max_iter=9,
        max_fun=9,
        gtol=0,
        learning_rate=0,
    )
    minimum, lowest = network.params.copy(), network.loss(X, y)
    results = {}
    for method, (name, *_) in METHODS.items():
        results[method] = steps, rate, _ = find_best(method, X, y, lowest)
        how = "no rate" if method in HAS_NO_RATE else f"rate {rate:g}"
        print(f"{name:16}  {how:12}  {steps:3} steps")
    file = (
        Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".png")
    )
    draw(results, X, y, minimum, lowest, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
