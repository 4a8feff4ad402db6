"""The texts that the book trains on: fetched and checked, or made from what is installed already."""
