"""A simulation of the throttle against endpoints with hidden limits: `python -m tests.bench.throttle`."""
