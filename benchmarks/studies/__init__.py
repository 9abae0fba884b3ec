"""Studies that answer one question each; not part of the regular benchmarks."""
