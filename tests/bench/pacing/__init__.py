"""A simulation of the meter against endpoints with hidden limits: `python -m tests.bench.pacing`."""
