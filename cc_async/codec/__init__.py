"""Bytes to models and requests to bytes; knows no noun."""
