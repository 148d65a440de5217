"""Settings and blend weights, chosen on a validation slice of the training data and on nothing else."""

from training.tuning.tuning import TUNE_BUDGET, Tuned, Validation, shipped, tune

__all__ = ["TUNE_BUDGET", "Tuned", "Validation", "shipped", "tune"]
