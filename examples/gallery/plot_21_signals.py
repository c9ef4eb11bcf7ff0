"""
A tone in noise
===============

Signals of 128 samples. Half of them are noise; the other half also contain a sine of
half the noise's power, with random frequency and phase. A dense network must learn
every phase separately; a convolution along time learns a short wave only once.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

from fastmlp import CNNClassifier, MLPClassifier

warnings.simplefilter("ignore")

random = np.random.RandomState(0)


def make_signals(n):
    """Signals (n, 128, 1), and whether there is a tone in them."""
    y = np.arange(n) % 2
    frequency = random.uniform(0.05, 0.25, (n, 1))
    phase = random.uniform(0, 2 * np.pi, (n, 1))
    tones = np.sin(2 * np.pi * frequency * np.arange(128) + phase)
    signals = random.normal(size=(n, 128)) + y[:, np.newaxis] * tones
    return signals[:, :, np.newaxis].astype(np.float32), y


X_train, y_train = make_signals(2000)
X_test, y_test = make_signals(2000)
fig, panels = plt.subplots(2, 2, figsize=(9, 3.6), sharex=True, sharey=True)
for ax, signal, tone in zip(panels.flat, X_train, y_train, strict=False):
    ax.plot(signal[:, 0], color="#0072b2" if tone else "#777777", linewidth=1)
    ax.set_title("tone" if tone else "noise", fontsize=10)
fig.tight_layout()
plt.show()

# %%
# Kernels of nine samples, the largest of four behind each: the second layer sees 44
# samples at a time. The dense network is given the same rows without their last axis.

settings = {
    "learning_rate": "cosine", "learning_rate_init": 0.003, "max_iter": 20,
    "tol": 0, "random_state": 0,
}  # fmt: skip
cnn = CNNClassifier(
    conv_layers=((16, 9), (16, 9)), pool_size=4, alpha=0.01, **settings
).fit(X_train, y_train)
mlp = MLPClassifier((128, 64), alpha=1, **settings).fit(X_train[:, :, 0], y_train)
print(f"convolutions: {cnn.score(X_test, y_test):.1%} of new signals")
print(f"dense layers: {mlp.score(X_test[:, :, 0], y_test):.1%}")

# %%
# A tone is a peak of the spectrum. So a simple detector takes the largest peak and the
# best threshold, chosen on the training signals. The networks should come close to it.


def largest_peak(X):
    """The highest place of each signal's spectrum."""
    return np.abs(np.fft.rfft(X[:, :, 0])).max(axis=1)


peaks = largest_peak(X_train)
right = [np.mean((peaks > threshold) == y_train) for threshold in np.sort(peaks)]
threshold = np.sort(peaks)[np.argmax(right)]
accuracy = np.mean((largest_peak(X_test) > threshold) == y_test)
print(f"largest peak of the spectrum: {accuracy:.1%}")

# %%
# Most of the kernels are short waves: each answers to a band of frequencies, as its
# spectrum at the right shows.

kernels = cnn.coefs_[0][:, 0].T
spectra = np.abs(np.fft.rfft(kernels, 128))
order = np.argsort(spectra.argmax(axis=1))
limit = np.abs(kernels).max()
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.imshow(kernels[order], cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
left.set(title="16 kernels", xlabel="sample", ylabel="filter")
right.imshow(spectra[order], cmap="Blues", aspect="auto", extent=(0, 0.5, 15.5, -0.5))
right.axvspan(0.05, 0.25, fill=False, edgecolor="#d55e00")
right.set(title="Their spectra; frame: the tones", xlabel="frequency")
plt.show()
