"""Experiments: what is compared, who sees what, and what came of it."""

from recsys.experiments.assignment import assign, experiment_on
from recsys.experiments.definition import HOLDOUT, Arm, Experiment
from recsys.experiments.reading import experiments_from

__all__ = ["HOLDOUT", "Arm", "Experiment", "assign", "experiment_on", "experiments_from"]
