"""Pure: what comes in, what goes out, and the rules between."""
