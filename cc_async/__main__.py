"""The door of the command line: `python -m cc_async`, installed as `cc-async` too."""

import sys

from cc_async.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
