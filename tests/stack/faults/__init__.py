"""Small versions of the rows of `tests.bench.faults`."""
