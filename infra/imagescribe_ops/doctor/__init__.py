"""Every link between an upload and its prompt is looked at, and what mends one that is broken is said."""
