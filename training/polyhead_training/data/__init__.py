"""Data files in, examples out, every problem reported with file and line."""

from polyhead_training.data.examples import Example, SourceData
from polyhead_training.data.load import load_all, load_inputs, load_source

__all__ = ["Example", "SourceData", "load_all", "load_inputs", "load_source"]
