"""Where a workflow can be seen, and the ``temporal`` commands that do what ours do."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from urllib.parse import quote

from provery.client.connection import address, namespace

_CLOUD_SUFFIXES = (".tmprl.cloud", ".temporal.io")
UI_PORT_OFFSET = 1_000
"""The development server serves its UI this many ports above the frontend."""


def ui_base(env: Mapping[str, str]) -> str:
    """Root of the Temporal UI: ``TEMPORAL_UI_URL``, Temporal Cloud's, or the development server's."""
    if given := env.get("TEMPORAL_UI_URL", ""):
        return given.rstrip("/")
    host, _, port = address(env).rpartition(":")
    if host.endswith(_CLOUD_SUFFIXES):
        return "https://cloud.temporal.io"
    return f"http://{host or 'localhost'}:{(int(port) if port.isdigit() else 7233) + UI_PORT_OFFSET}"


def ui_link(env: Mapping[str, str], workflow_id: str, run_id: str = "") -> str:
    """URL of a workflow, of one run's history where ``run_id`` is given."""
    base = (
        f"{ui_base(env)}/namespaces/{quote(namespace(env), safe='')}/workflows/{quote(workflow_id, safe='')}"
    )
    return f"{base}/{quote(run_id, safe='')}/history" if run_id else base


def schedule_link(env: Mapping[str, str], schedule_id: str) -> str:
    """URL of a schedule."""
    return (
        f"{ui_base(env)}/namespaces/{quote(namespace(env), safe='')}/schedules/{quote(schedule_id, safe='')}"
    )


def temporal_command(env: Mapping[str, str], *words: str, **flags: object) -> str:
    """A ``temporal`` command line, quoted for a shell; credentials stay in the environment.

    Args:
        env: Names the server and namespace.
        words: Subcommand, such as ``workflow``, ``update``, ``execute``.
        flags: Flag names with ``_`` for ``-``; strings are given as they are, a list repeats the flag, ``True`` is a
            bare flag, other values are written as JSON.
    """
    parts = ["temporal", *words, "--address", address(env), "--namespace", namespace(env)]
    for name, value in flags.items():
        flag = "--" + name.replace("_", "-")
        for one in value if isinstance(value, list) else [value]:
            if one is True:
                parts.append(flag)
            else:
                parts += [flag, one if isinstance(one, str) else json.dumps(one, sort_keys=True)]
    return shlex.join(parts)
