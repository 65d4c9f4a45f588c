"""Bucket and catalog side by side: proof that nothing is missing, and the mending of what is."""
