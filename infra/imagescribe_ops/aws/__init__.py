"""The account that a stack is in, and what the command asks of it: one module a service."""
