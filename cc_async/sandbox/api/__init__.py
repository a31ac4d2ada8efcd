"""The services behind the gateway, one module a noun."""
