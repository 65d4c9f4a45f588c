"""Describe every image that lands in an S3 bucket: the code that runs in Lambda."""
