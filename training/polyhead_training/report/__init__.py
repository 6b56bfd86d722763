"""One HTML page about a bundle: measured, explained and self-contained."""

from polyhead_training.report.build import Wishes, report

__all__ = ["Wishes", "report"]
