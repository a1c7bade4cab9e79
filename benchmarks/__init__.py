"""Benchmarks: `./run bench`. They measure ratios in one run; no test depends on them (docs/performance.md)."""
