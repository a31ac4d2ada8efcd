"""What several test files share: servers that are not the sandbox, stubs, and driven time."""
