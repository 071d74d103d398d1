"""push, pop: checkpoints with names of their own making, to go back to the last of them."""
