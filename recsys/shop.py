"""The folder that holds all of one shop's state; the same layout for the command and for the service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ShopFolder:
    """Where things are below a shop's home folder. Nothing is created by asking."""

    home: Path

    @property
    def store(self) -> Path:
        """The embedded store's file."""
        return self.home / "store.db"

    @property
    def models(self) -> Path:
        """The model repository: one folder per bundle, and `current`."""
        return self.home / "models"

    @property
    def placements(self) -> Path:
        """The versions of the file of placements, one folder each, and `current`."""
        return self.home / "placements"

    @property
    def customer_rules(self) -> Path:
        """What the shop says about its customers: segments, tiers, values; need not be there."""
        return self.home / "customers.toml"

    @property
    def tuning(self) -> Path:
        """What tuning found, for the next training."""
        return self.home / "tuning"

    @property
    def scratch(self) -> Path:
        """The finished stages of a training run under way."""
        return self.home / "training"

    @property
    def quarantine(self) -> Path:
        """Bad rows and rows set aside by rule, one pair of files per import."""
        return self.home / "quarantine"

    @property
    def mailings(self) -> Path:
        """The plans of campaigns, one folder each."""
        return self.home / "mailings"

    @property
    def email(self) -> Path:
        """What sending mails needs: `delivery.toml`, the keys of links to unsubscribe, own templates and texts."""
        return self.home / "email"
