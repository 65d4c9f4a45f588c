"""Search at scale."""
