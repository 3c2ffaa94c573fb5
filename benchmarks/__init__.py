"""What reproduces every figure that the project states: one command a table, fixed seeds, JSON out."""
