"""A stand-in for the module that every notebook in Colab finds loaded, as far as this book uses it."""

from google.colab import files, output

__all__ = ["files", "output"]
