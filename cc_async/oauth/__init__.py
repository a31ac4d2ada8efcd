"""Access tokens: how they are obtained, refreshed and stored."""
