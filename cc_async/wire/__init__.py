"""The rules of the wire as pure functions, without I/O."""
