"""What is true of every broker whatever is done with it, in any order: see `life`."""
