"""Benchmarks: run by hand (`make bench`), never collected as tests."""
