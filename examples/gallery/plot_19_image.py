"""
A photograph as a function
==========================

A network learns one photograph: its input is a place in the picture, its output the
colour there. Networks of three sizes show what a function of so many parameters can
express.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from fastmlp import MLPRegressor

warnings.simplefilter("ignore")

image = load_sample_image("flower.jpg")[40:400:6, 180:540:6] / 255
height, width, _ = image.shape
rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
# Waves of several lengths, so that fine detail is within reach.
waves = 2.0 ** np.arange(4) * np.pi
places = np.stack([rows.ravel(), columns.ravel()], axis=1)
angles = (places[:, :, None] * waves).reshape(len(places), -1)
X = np.hstack([places, np.sin(angles), np.cos(angles)]).astype(np.float32)
Y = image.reshape(-1, 3).astype(np.float32)

fig, panels = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained")
panels[0].imshow(image)
panels[0].set_title(f"{height} × {width} pixels")
for ax, size in zip(panels[1:], [4, 16, 128], strict=True):
    model = MLPRegressor(
        hidden_layer_sizes=(size, size), activation="gelu",
        output_activation="logistic",
        learning_rate_init=0.01, learning_rate="cosine", max_iter=60, alpha=0,
        tol=0, n_iter_no_change=60, random_state=0,
    ).fit(X, Y)  # fmt: skip
    n_params = sum(a.size for a in [*model.coefs_, *model.intercepts_])
    ax.imshow(model.predict(X).reshape(image.shape).clip(0, 1))
    ax.set_title(f"{n_params} parameters")
for ax in panels:
    ax.set_axis_off()
plt.show()
