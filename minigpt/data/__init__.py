"""Corpora, batches, and token shards."""
