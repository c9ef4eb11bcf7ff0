"""
Optimizers side by side
=======================

Six ways to use a gradient, on the digits, each with a suitable learning rate.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from fastmlp import MLPClassifier

warnings.simplefilter("ignore")

X, y = load_digits(return_X_y=True)
optimizers = {
    "gradient descent": {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.1},
    "Nesterov": {"solver": "sgd", "learning_rate_init": 0.1},
    "AdaGrad": {"solver": "adagrad", "learning_rate_init": 0.03},
    "RMSProp": {"solver": "rmsprop", "learning_rate_init": 0.003},
    "Adam": {"solver": "adam", "learning_rate_init": 0.003},
    "AdamW": {"solver": "adamw", "learning_rate_init": 0.003},
}
fig, ax = plt.subplots(figsize=(7, 4.5))
for name, settings in optimizers.items():
    model = MLPClassifier((64,), batch_size=64, max_iter=40, random_state=0, **settings)
    model.fit(X / 16, y)
    ax.semilogy(model.loss_curve_, label=f"{name}: {model.loss_:.4f}")
ax.set(xlabel="epoch", ylabel="training loss")
ax.legend(title="loss after 40 epochs")
plt.show()
