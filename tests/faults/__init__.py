"""The fault campaigns: whatever can be broken is broken on purpose, and what came of it goes to `results/faults/`."""
