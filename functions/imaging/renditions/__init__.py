"""The imaging function: a JPEG of what the describe endpoint would not take, and thumbnails."""
