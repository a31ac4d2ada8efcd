"""One request to the API: token, limit, send, classify, retry."""
