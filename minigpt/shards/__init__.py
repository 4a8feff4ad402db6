"""Texts of any size as token ids on disk: read, encoded and written in bounded memory, and mapped when trained on."""
