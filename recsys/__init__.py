"""Bookmatch's core: data, models, answering, stores and bundles. It knows neither training jobs nor HTTP."""

__version__ = "0.1.0"
