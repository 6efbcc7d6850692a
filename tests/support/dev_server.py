"""The SDK's development server, started for as long as a busy machine takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temporalio.testing import WorkflowEnvironment

from provery.client import DATA_CONVERTER
from provery.local.toolchain import find

STARTS = 6
"""The SDK gives a server five seconds, which one of several on two cores may not meet."""


async def start_dev_server(arguments: Sequence[str], **options: Any) -> WorkflowEnvironment:
    """Start the server that is installed here; shut it down with ``shutdown``.

    Args:
        arguments: Of ``temporal server start-dev``.
        options: Further ones of ``WorkflowEnvironment.start_local``.

    Raises:
        RuntimeError: it did not start, however often it was tried.
    """
    for tried in range(1, STARTS + 1):
        try:
            return await WorkflowEnvironment.start_local(
                dev_server_existing_path=str(find("temporal")),
                dev_server_extra_args=arguments,
                data_converter=DATA_CONVERTER,
                **options,
            )
        except RuntimeError as error:
            if tried == STARTS or "did not start within" not in str(error):
                raise
    raise AssertionError
