"""Files that commands write: complete under their names, or not there at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def complete_file(path: str | Path) -> Iterator[IO[str]]:
    """Yield a file that gets its name at the end; an error or Ctrl-C leaves nothing behind.

    Raises:
        OSError: It cannot be written.

    """
    target = Path(path).absolute()
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None  # instead of the name of the temporary file
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
