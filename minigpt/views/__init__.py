"""What a notebook shows besides figures: panels, texts in colour, and tables of recorded results."""
