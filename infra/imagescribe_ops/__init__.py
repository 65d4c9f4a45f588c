"""What stands around the functions: the `imagescribe` command, the local stack, the simulator."""
