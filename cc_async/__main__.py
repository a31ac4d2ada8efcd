"""Entry point of the command line: `python -m cc_async`, also installed as `cc-async`."""

import sys

from cc_async.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
