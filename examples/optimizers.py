"""Eight ways down the same valley: draws optimizers.png.

Usage: python examples/optimizers.py [FILE]

A straight line is fitted to points. The network has no hidden layer: its parameters are
a slope and an intercept, they span a map, and its objective is the height on that map.
Every method walks there from the same start, in fastmlp's own steps over all points.
Where a method has a learning rate, it is the power of two that takes the fewest steps.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fastmlp import Network
from fastmlp.fitting import fit_network
from fastmlp.head import Head
from fastmlp.listeners import Functions
from fastmlp.optimizers import Optimizer
from fastmlp.recipe import Recipe
from fastmlp.rows import ArrayRows
from fastmlp.schedules import ScheduleSettings
from fastmlp.trainer import Trainer

START = np.array([1.85, -1.55])  # slope and intercept
MOST_STEPS = 200
RATES = [2.0**-k for k in range(-2, 9)]
# A method has arrived where it stays below this share of the start's height.
ARRIVED = 0.01

# The map that is drawn.
INTERCEPTS, SLOPES = np.linspace(-2.4, 3.3, 121), np.linspace(-0.9, 2.7, 121)

BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#c04f00", "#007a5a", "#a0408a"
METHODS = {
    "gd": (
        "Gradient descent",
        BLUE,
        "Steps in proportion to the steepness:\ntoo far across, too little along.",
    ),
    "steepest": (
        "Steepest descent",
        BLUE,
        "As far as it goes downhill, then\na turn by a right angle: the zig-zag.",
    ),
    "momentum": (
        "Momentum",
        ORANGE,
        "A heavy ball: it gathers speed,\nand rolls past the goal.",
    ),
    "nesterov": (
        "Nesterov",
        ORANGE,
        "A ball that looks ahead,\nand brakes in time.",
    ),
    "adagrad": (
        "AdaGrad",
        GREEN,
        "Each parameter has its own rate,\nwhich can only shrink.",
    ),
    "rmsprop": (
        "RMSProp",
        GREEN,
        "Its own rate, by the latest steepness:\nall steps are about equally long.",
    ),
    "adam": (
        "Adam",
        GREEN,
        "RMSProp's rates\nand a ball's momentum.",
    ),
    "newton-cg": (
        "Newton",
        PURPLE,
        "Measures the curvature as well:\none step, which costs more, is enough.",
    ),
}
HEIGHT = f"{100 * ARRIVED:g} % of the start's height"
TITLE = f"""\
Eight ways down the same valley: each place on a map is a line, the darker the better.
From ● to ★, a dot a step, counted until the path stays inside the dashed ring, which
is {HEIGHT}. Each method has the rate that suits it best."""
HAS_NO_RATE = ("steepest", "newton-cg")


def draw_points():
    """Points around a line. The wider their x, the narrower the valley."""
    random = np.random.RandomState(0)
    X = np.linspace(-2, 5, 24).reshape(-1, 1)
    return X, 0.5 * X + 1 + random.normal(scale=0.5, size=X.shape)


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
        recipe = Recipe(
            Head(network.loss_name),
            solver=method,
            schedule=ScheduleSettings(learning_rate_init=rate or 0.0),
            n_epochs=MOST_STEPS,
            max_fun=10 * MOST_STEPS,
            tol=1e-10,
        )
        fit_network(network, X, y, recipe, listeners=[Functions([take_down])])
    else:
        optimizer = Optimizer(method, 2, network.dtype, learning_rate=rate)
        trainer = Trainer(
            network, optimizer, ArrayRows((X, y, None)), batch_size=len(X)
        )
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
    for rate in [None] if method in HAS_NO_RATE else RATES:
        path, heights = walk(method, rate, X, y)
        tried.append((count_steps(heights, lowest), rate, path))
    return min(tried, key=lambda entry: entry[:2])


def draw_task(axes, X, y, minimum):
    ends = np.array([-2.4, 5.4])
    axes.plot(X, y, "o", color="#888888", markersize=4)
    for (slope, intercept), style in [(START, "--"), (minimum, "-")]:
        axes.plot(ends, slope * ends + intercept, style, color="black", linewidth=1.6)
    axes.text(0.1, -2.3, "● the line at the start")
    arrow = {"arrowstyle": "-", "color": "black", "linewidth": 0.8}
    place = (0.0, minimum[1])
    axes.annotate("★ the best line", place, xytext=(-2, 4), arrowprops=arrow)
    axes.set(xlim=ends, ylim=(-3, 6), xticks=[], yticks=[], xlabel="x", ylabel="y")
    axes.set_box_aspect(3.6 / 5.7)  # as the maps
    axes.set_title("The task: a line through points", weight="bold")


def measure_heights(X, y, lowest):
    """The objective above its minimum at every place of the map."""
    network = Network([1, 1], loss="squared_error")
    heights = np.empty((len(SLOPES), len(INTERCEPTS)))
    for row, slope in enumerate(SLOPES):
        for column, intercept in enumerate(INTERCEPTS):
            network.params[:] = slope, intercept
            heights[row, column] = network.loss(X, y) - lowest
    return heights


def draw_map(axes, heights, top):
    """Shades by height, and the ring in which a method has arrived."""
    levels = top * np.array([0, 0.03, 0.12, 0.3, 0.6, 1, 1.5, 2.2, 3.2, 5, 8])
    shades = [(gray, gray, gray) for gray in np.linspace(0.82, 1, len(levels) - 1)]
    axes.contourf(INTERCEPTS, SLOPES, heights, levels, colors=shades)
    ring = {"colors": "black", "linewidths": 0.8, "linestyles": "--"}
    axes.contour(INTERCEPTS, SLOPES, heights, [ARRIVED * top], **ring)
    axes.set(aspect="equal", xticks=[], yticks=[], xlabel="intercept", ylabel="slope")


def draw(results, X, y, minimum, lowest, top, file):
    figure = Figure(figsize=(12, 9.8), layout="constrained")
    figure.get_layout_engine().set(hspace=0.05, h_pad=0.06)
    figure.suptitle(TITLE, fontsize=13)
    task, *panels = figure.subplots(3, 3).ravel()
    draw_task(task, X, y, minimum)
    heights = measure_heights(X, y, lowest)
    for axes, (method, (steps, path)) in zip(panels, results.items(), strict=True):
        name, color, caption = METHODS[method]
        draw_map(axes, heights, top)
        slopes, intercepts = path[: steps + 1].T
        axes.plot(intercepts, slopes, "o-", color=color, markersize=3.5, linewidth=1.4)
        axes.plot(START[1], START[0], "o", color="black", markersize=7)
        axes.plot(minimum[1], minimum[0], "*", color="black", markersize=9, zorder=3)
        axes.set_title(f"{name}: {steps} step{'s' * (steps != 1)}", weight="bold")
        axes.text(0.03, 0.04, caption, transform=axes.transAxes, color=color)
    figure.savefig(file, dpi=120)


def main():
    X, y = draw_points()
    path, heights = walk("newton-cg", None, X, y)
    minimum, lowest = path[-1], heights[-1]
    top = heights[0] - lowest
    results = {}
    for method, (name, *_) in METHODS.items():
        steps, rate, path = find_best(method, X, y, lowest)
        results[method] = steps, path
        how = f"rate {rate:g}" if rate else "no rate"
        print(f"{name:16}  {how:14}  steps {steps:3}")
    file = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_suffix(".png")
    draw(results, X, y, minimum, lowest, top, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
