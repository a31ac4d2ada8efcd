"""What several test files share: servers that are not the sandbox, stubs, and driven time."""

import signal

# A shell starts what runs in the background with Ctrl-C ignored, and the tests of Ctrl-C would wait for it for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
