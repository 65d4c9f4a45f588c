"""Faults injected into the deployed stack, with the endpoint's own journal as the judge."""
