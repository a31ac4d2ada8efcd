"""Decoding of responses into models and encoding of requests, independent of any resource."""
