//! Benchmarks beside the recorded figures.
