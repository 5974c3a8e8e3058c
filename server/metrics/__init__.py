"""Metrics for Prometheus: those of calls, and those of the other parts."""

from server.metrics.metrics import Metrics
from server.metrics.port import serving_metrics

__all__ = ["Metrics", "serving_metrics"]
