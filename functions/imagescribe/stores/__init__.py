"""The two tables: what has been paid for, and what is known of each image."""
