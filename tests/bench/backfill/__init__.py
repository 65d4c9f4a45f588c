"""Backfill and audit at scale: how long, how much memory, what it costs."""
