"""Backfills from the terminal: what one would cost, beginning it, and looking how far it is."""
