"""Byte-pair encoding: learning the merges of a text, and cutting texts by them."""
