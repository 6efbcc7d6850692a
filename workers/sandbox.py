"""The workflow sandbox, entered once per workflow task.

Before it encodes, decodes or offloads a payload, the SDK asks the workflow's instance for the payload's context. The
sandboxed instance answers by compiling and running a line of code inside the sandbox, several times per task: a fifth
of a workflow worker's time. Only a payload codec and external storage use the answers. Where the client has neither,
they are given out here.
"""

from __future__ import annotations

from typing import Any

from temporalio.client import Client
from temporalio.converter import SerializationContext, StorageDriverStoreContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import Info

RESTRICTIONS = SandboxRestrictions.default.with_passthrough_modules("provery.core", "workflows")
"""The sandbox stays on; our own modules are not imported again for every workflow, since they hold no state."""


class _ContextFree(WorkflowInstance):
    """A sandboxed instance whose payloads have no context."""

    def __init__(self, sandboxed: WorkflowInstance) -> None:
        self._sandboxed = sandboxed
        self._store = StorageDriverStoreContext()

    # The SDK's generated message types are private to it, hence Any.
    def activate(self, act: Any) -> Any:
        return self._sandboxed.activate(act)

    def get_serialization_context(self, command_info: Any) -> SerializationContext | None:
        return None

    def get_external_store_context(self, command_info: Any) -> StorageDriverStoreContext:
        return self._store

    def get_info(self) -> Info:
        return self._sandboxed.get_info()

    def get_thread_id(self) -> int | None:
        return self._sandboxed.get_thread_id()


class _ContextFreeRunner(SandboxedWorkflowRunner):
    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _ContextFree(super().create_instance(det))


def sandbox(client: Client) -> WorkflowRunner:
    """The runner for a worker of ``client``, whose data converter says whether payloads need their context."""
    converter = client.data_converter
    if converter.payload_codec is None and converter.external_storage is None:
        return _ContextFreeRunner(restrictions=RESTRICTIONS)
    return SandboxedWorkflowRunner(restrictions=RESTRICTIONS)
