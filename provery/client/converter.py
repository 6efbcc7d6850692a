"""How records travel: the SDK's JSON converter, taught to leave nested JSON values alone.

The SDK rebuilds values from their type hints and cannot follow the recursive alias ``Json``: a list inside
``Unit.params`` would make every decode fail. Clients and workers must use the same converter.
"""

from __future__ import annotations

import types
from dataclasses import replace
from typing import Any, Union, get_args, get_origin

from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
    JSONTypeConverter,
)

_SCALARS = {type(None), bool, int, float, str}


class _NestedJson(JSONTypeConverter):
    """Take a value whose hint is the ``Json`` alias, at any depth of its expansion, as it was parsed."""

    def to_typed_value(self, hint: type[Any], value: Any) -> Any:
        """Return ``value`` for the alias and ``Unhandled`` for every other hint."""
        if get_origin(hint) in (types.UnionType, Union) and set(get_args(hint)) >= _SCALARS:
            return value
        return JSONTypeConverter.Unhandled


class PayloadConverter(CompositePayloadConverter):
    """The SDK's default payload converters with the nested JSON rule."""

    def __init__(self) -> None:
        plain = JSONPlainPayloadConverter(custom_type_converters=[_NestedJson()])
        super().__init__(
            *(
                plain if isinstance(c, JSONPlainPayloadConverter) else c
                for c in DefaultPayloadConverter.default_encoding_payload_converters
            )
        )


DATA_CONVERTER: DataConverter = replace(DataConverter.default, payload_converter_class=PayloadConverter)
"""What every client and worker passes to the SDK."""
