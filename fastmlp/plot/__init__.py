"""Pictures in scikit-learn's Display conventions; matplotlib is imported to draw."""

from fastmlp.plot.network import NetworkDisplay
from fastmlp.plot.optimizer_path import OptimizerPathDisplay
from fastmlp.plot.training import TrainingDisplay

__all__ = ["NetworkDisplay", "OptimizerPathDisplay", "TrainingDisplay"]
