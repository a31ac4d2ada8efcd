"""Contracts of the protocols, to run against your own implementations."""
