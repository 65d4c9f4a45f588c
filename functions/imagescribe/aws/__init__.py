"""One module for each AWS service that the functions use."""
