"""What stands between a bundle and the shop: a comparison with the one in force, in no more time than a fit."""

from training.gate.budget import Budget
from training.gate.judging import LEAST_COVERAGE, Verdict, judge

__all__ = ["LEAST_COVERAGE", "Budget", "Verdict", "judge"]
