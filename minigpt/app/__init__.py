"""A page on which a visitor lets models write: the same one on this machine and as a Space on the hub."""
