"""What is wrong with a run: its curves beside those of reference runs, and the likely causes."""
