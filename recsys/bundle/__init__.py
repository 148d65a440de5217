"""Fitted models as data: written, verified, published and taken back."""

from recsys.bundle.bundle import ModelBundle
from recsys.bundle.manifest import Manifest
from recsys.bundle.repository import BundleRepository, Publication

__all__ = ["BundleRepository", "Manifest", "ModelBundle", "Publication"]
