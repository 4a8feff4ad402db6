"""minigpt beside what a reader would otherwise pick: one module for each case, and the ways of measuring they share.

A case is a module with a `NAME`, under which its record is kept, and `rows(quick)`, which yields a `Row` for each
comparison. It checks that both sides compute the same before it measures anything.
"""
