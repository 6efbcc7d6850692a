"""How a process that has talked to Temporal ends.

Threads of the SDK may outlive the event loop, and while Python takes itself apart they crash it now and then: the
process dies of SIGABRT or SIGSEGV and its exit status is lost, a fault known to the SDK. So Python does not
take itself apart here.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn


def ended(main: Callable[[], int]) -> NoReturn:
    """Run a program and end the process with its status.

    What is written is flushed, handlers of the log included. Functions registered with ``atexit`` are not run.

    Args:
        main: The program; what it raises ends the process as Python would.
    """
    try:
        status = main()
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read it has gone, or it is closed
            stream.flush()
    os._exit(status)
