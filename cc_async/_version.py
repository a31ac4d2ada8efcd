"""The version, alone in a module so that everything may read it and the build too."""

__version__ = "0.1.0"
