"""The command: its arguments and what it prints."""
