"""How records travel: JSON by pydantic, whose compiled adapters encode and decode our dataclasses.

The SDK's own JSON converter evaluates every record's type hints again for every payload, and the SDK makes a converter
for every workflow: that took half of a workflow worker's time. One set of adapters serves the whole process, built
before the first workflow. Clients and workers must use the same converter.
"""

from __future__ import annotations

from dataclasses import replace

from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
)

from provery.core import controls, stages, types

_JSON = PydanticJSONPlainPayloadConverter()
"""Shared by every converter of the process; it holds nothing but the adapters."""

RECORDS = (
    controls.BatchInput, controls.BatchOutcome, controls.FollowInput, controls.Order, controls.ProveInput,
    controls.UnitProgress, stages.Conclusion, stages.DiscoverInput, stages.DiscoverResult, stages.ExpressInput,
    stages.ExpressResult, types.StageInput, types.StageResult, types.UnitOutcome, types.UnitStatus,
)  # fmt: skip
"""What workflows and activities take and return."""


class PayloadConverter(CompositePayloadConverter):
    """The SDK's default payload converters, with the shared one for JSON."""

    def __init__(self) -> None:
        super().__init__(
            *(
                _JSON if isinstance(c, JSONPlainPayloadConverter) else c
                for c in DefaultPayloadConverter.default_encoding_payload_converters
            )
        )


DATA_CONVERTER: DataConverter = replace(DataConverter.default, payload_converter_class=PayloadConverter)
"""What every client and worker passes to the SDK."""

for _record in RECORDS:
    _JSON._type_adapter(_record)  # building one takes milliseconds, and ten times that inside the sandbox
