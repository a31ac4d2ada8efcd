"""Collections that come in pages, and many calls at once."""
