"""The engine from outside: connect to Temporal, start units, wait for them, give orders. No business logic.

client = await connect(os.environ)
engine = Provery(client, ledger, os.environ)
outcomes = await engine.run_batch(works)
"""

from provery.client.address import Address, parse_stream
from provery.client.connection import NotFound, address, connect, namespace, patiently
from provery.client.converter import DATA_CONVERTER
from provery.client.engine import Provery, Started, UnitView
from provery.client.links import schedule_link, temporal_command, ui_base, ui_link
from provery.client.listing import Run
from provery.client.orders import Obeyed
from provery.client.schedules import Schedules, ScheduleView
from provery.core.visibility import SEARCH_ATTRIBUTES

__all__ = [
    "DATA_CONVERTER",
    "SEARCH_ATTRIBUTES",
    "Address",
    "NotFound",
    "Obeyed",
    "Provery",
    "Run",
    "ScheduleView",
    "Schedules",
    "Started",
    "UnitView",
    "address",
    "connect",
    "namespace",
    "parse_stream",
    "patiently",
    "schedule_link",
    "temporal_command",
    "ui_base",
    "ui_link",
]
