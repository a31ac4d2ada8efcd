"""The services behind the gateway, one module per resource."""
