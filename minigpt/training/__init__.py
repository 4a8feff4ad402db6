"""The training loop and what it needs: the optimizers, the precision, several processes, and the record of a run."""
