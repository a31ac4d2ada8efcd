"""The models of responses and requests."""
