"""Three AWS services in memory and on a test's clock, as far as the functions use them.

For tests that make too many requests for moto, or want time to pass. `test_in_memory.py` holds them against moto.
"""
