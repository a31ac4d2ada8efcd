"""Rate limiters for the limits of the API key."""
