"""
Filters of a convolution, and shifted images
============================================

A convolution looks for the same small pattern all over the image. Here are the patterns
that it learns from 300 digits, and where it finds them. To recognise a digit that is
shifted, the network must be trained on shifted digits: a callback shifts the images.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fastmlp import CNNClassifier, NetworkDisplay

warnings.simplefilter("ignore")

X, y = load_digits(return_X_y=True)
images = (X / 16).astype(np.float32).reshape(-1, 8, 8, 1)
X_train, X_test, y_train, y_test = train_test_split(
    images, y, train_size=300, stratify=y, random_state=0
)
model = CNNClassifier(
    conv_layers=((8, 3), (16, 3)), learning_rate="cosine", learning_rate_init=0.003,
    batch_size=32, max_iter=60, tol=0, n_iter_no_change=60, random_state=0,
)  # fmt: skip
model.fit(X_train, y_train)
print(model.summary())
print(f"accuracy on 1497 new digits: {model.score(X_test, y_test):.1%}")

# %%
# Above, the eight kernels of the first layer, 3 × 3 weights each, red where they look
# for ink and blue where they look for none. Below each, where it is found in three
# digits: the layer's outputs behind relu, so that nothing is below 0.

digits = X_test[[np.flatnonzero(y_test == digit)[0] for digit in (0, 4, 7)]]
found = model.hidden_activations(digits)[0]
fig, panels = plt.subplots(4, 9, figsize=(11, 4.6), layout="constrained")
NetworkDisplay.from_estimator(model, kind="images", ax=panels[0, 1:])
for row, digit, maps in zip(panels[1:], digits, found, strict=True):
    row[0].imshow(digit[:, :, 0], cmap="gray_r")
    for ax, feature_map in zip(row[1:], np.moveaxis(maps, -1, 0), strict=True):
        ax.imshow(feature_map, cmap="Blues", vmin=0, vmax=found.max())
for ax in panels.flat:
    ax.set_axis_off()
plt.show()

# %%
# ``fit`` does not copy a C-contiguous array. So if a callback changes the array, the
# next epoch trains on the new values. Here each image is shifted by up to one pixel in
# both directions.


def shift(images, offsets):
    """Each image moved by its (rows, columns), with white coming in at the edge."""
    wide = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    moved = [
        image[1 - down : 9 - down, 1 - right : 9 - right]
        for image, (down, right) in zip(wide, offsets, strict=True)
    ]
    return np.stack(moved)


class Shifts:
    """Before every epoch but the first: all images in new places."""

    def __init__(self, images):
        self.images, self.originals = images, images.copy()
        self.random = np.random.RandomState(0)

    def on_epoch_end(self, estimator, epoch, logs):
        offsets = self.random.randint(-1, 2, (len(self.images), 2))
        self.images[:] = shift(self.originals, offsets)


moving = X_train.copy()
robust = clone(model).set_params(callbacks=[Shifts(moving)]).fit(moving, y_train)
places = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1)]
names = ["as it was", "right", "left", "down", "up", "down and right"]
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for i, (fitted, name, color) in enumerate(
    [(model, "300 digits", "#d55e00"), (robust, "shifted every epoch", "#0072b2")]
):
    scores = [
        fitted.score(shift(X_test, [place] * len(X_test)), y_test) for place in places
    ]
    ax.barh(np.arange(6) + 0.35 * i, scores, 0.35, color=color, label=name)
ax.set_yticks(np.arange(6) + 0.17, names)
ax.set(xlabel="accuracy", xlim=(0, 1), title="New digits, moved by one pixel")
ax.invert_yaxis()
fig.legend(loc="outside lower center", ncols=2, frameon=False)
plt.show()
