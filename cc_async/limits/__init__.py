"""The limits of the API key."""
