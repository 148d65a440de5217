"""An evaluation as files: `report.html`, `report.md`, `metrics.json` and `customers.parquet`."""

from training.evaluation.report.content import as_json, customer_metrics
from training.evaluation.report.folder import CUSTOMERS, MARKDOWN, METRICS, PAGE, require_writable, write_report

__all__ = [
    "CUSTOMERS",
    "MARKDOWN",
    "METRICS",
    "PAGE",
    "as_json",
    "customer_metrics",
    "require_writable",
    "write_report",
]
