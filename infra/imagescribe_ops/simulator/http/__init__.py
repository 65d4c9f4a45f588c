"""The simulator's HTTP: what listens, one connection's requests, and the control API."""
