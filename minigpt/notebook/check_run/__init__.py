"""Whether a training run is normal, and what is wrong with it."""
