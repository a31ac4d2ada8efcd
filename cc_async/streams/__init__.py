"""Streams over paged collections, and one operation on many items."""
