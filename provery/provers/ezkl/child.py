"""The program of a child: ezkl behind JSON lines on stdin and stdout, the protocol of the native prover.

Run as ``python -I -m provery.provers.ezkl.child``. Standard output belongs to the protocol: whatever ezkl prints goes
to standard error, and what it logs, which may tell of inputs, is kept to look for reasons and shown to nobody.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from provery.provers.ezkl.faults import Refused, said

Tell = Callable[[str], None]
EX_CONFIG = 78


def main() -> None:
    """Answer requests until standard input ends."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def say(message: Mapping[str, Any]) -> None:
        out.write(json.dumps(message, allow_nan=False).encode() + b"\n")

    try:
        # Imported here: the import itself may print.
        from provery.provers.ezkl.proving import OPERATIONS
    except ImportError as error:
        told = {"kind": "configuration", "message": f"{error}; install provery[ezkl]"}
        sys.stderr.write(json.dumps({"error": told}) + "\n")
        sys.stderr.flush()
        os._exit(EX_CONFIG)
    logging.getLogger().handlers[:] = [said]
    say({"ready": True})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        say({"id": request["id"], **_answer(OPERATIONS, request, say)})
    os._exit(0)  # ezkl's threads, once started, crash an interpreter that ends in order


def _answer(
    operations: Mapping[str, Callable[[Mapping[str, Any], Tell], dict[str, Any]]],
    request: Mapping[str, Any],
    say: Callable[[Mapping[str, Any]], None],
) -> dict[str, Any]:
    operation = operations.get(request["op"])
    if operation is None:
        return _error("internal", f"no such operation: {request['op']}")
    steps = 0

    def tell(step: str) -> None:
        nonlocal steps
        steps += 1
        say({"id": request["id"], "progress": {"step": step, "done": steps - 1, "total": 0}})

    said.lines.clear()
    begun = time.process_time()
    try:
        result = operation(request, tell)
    except Refused as refused:
        return _error(refused.kind, str(refused))
    except MemoryError:
        return _error("resource", "out of memory")
    except OSError as error:
        return _error("io", f"{error.strerror}: {error.filename}")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of ezkl is no Exception
        return _error("internal", f"{type(error).__name__}: {error}")
    return {"ok": True, "result": {**result, "cpu_s": time.process_time() - begun}}


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"ok": False, "error": {"kind": kind, "message": message}}


if __name__ == "__main__":
    main()
