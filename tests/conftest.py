"""What keeps the speed of the machine out of the log that tests see."""

import logging


def _is_no_slow_callback(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Executing ")


# In its debug mode asyncio warns of callbacks that take 0.1 s, which tests of the log would find on a busy machine.
logging.getLogger("asyncio").addFilter(_is_no_slow_callback)
