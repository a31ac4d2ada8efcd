"""What holds for all tests."""

import logging


def _is_no_slow_callback(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Executing ")


# In its debug mode asyncio warns of every callback that takes 0.1 s: on a busy machine, tests of what is logged find it.
logging.getLogger("asyncio").addFilter(_is_no_slow_callback)
