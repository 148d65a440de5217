"""What can be counted of each customer after they were shown something."""

from __future__ import annotations

from enum import StrEnum


class Metric(StrEnum):
    """One number for each customer; an arm has the mean over its customers, those who did nothing included.

    A mean over buyers alone would compare different people in each arm: who buys is what the arms change.
    """

    CLICKS = "clicks"
    """Clicks within the window."""
    BUYERS = "buyers"
    """1 for who bought anything within the window, 0 for who did not."""
    PURCHASES = "purchases"
    """Purchases within the window; all that is bought on one day is one."""
    REVENUE = "revenue"
    """What was paid within the window, in one currency."""
    REPEAT = "repeat"
    """1 for who bought on two days or more within the window."""
    VALUE_90 = "value_90"
    """What was paid within 90 days less what came back, of customers who were first shown something 90 days ago."""
