"""The catalog as files: JSON Lines, CSV or Parquet, and text files for the trainers of image models."""
