"""JSON Schemas of types, with what msgspec leaves out of its own: two types that are written or read in different ways
have different schemas.

msgspec says no format of a time that may or may not have a zone, no keys of a dict but strings, and no names of fields
that are written in a list. Its generator is a private class: this file alone knows it, and the tests hold it.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import _json_schema, inspect

FORMATS = {
    (inspect.DateTimeType, None): "date-time or date-time-local",
    (inspect.DateTimeType, False): "date-time-local",
    (inspect.TimeType, None): "time or partial-time",
}
"""By type and whether it has a zone; what is not here msgspec says."""


def schemas_of(types: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A schema for each type, and the parts that they refer to as `#/$defs/…`. Raises TypeError."""
    found = inspect.multi_type_info(types)
    parts = _json_schema._collect_component_types(found)
    names = _json_schema._build_name_map(parts)
    generator = _Generator(names)
    whole = {names[cls]: generator.to_schema(part, check_ref=False) for cls, part in parts.items()}
    return [generator.to_schema(each) for each in found], whole


class _Generator(_json_schema._SchemaGenerator):
    def to_schema(self, t: inspect.Type, check_ref: bool = True) -> dict[str, Any]:
        schema = super().to_schema(t, check_ref)
        while isinstance(t, inspect.Metadata):
            t = t.type
        if isinstance(t, inspect.DateTimeType | inspect.TimeType) and (type(t), t.tz) in FORMATS:
            schema["format"] = FORMATS[type(t), t.tz]
        elif isinstance(t, inspect.DictType | inspect.FrozenDictType):
            schema |= self._keys(t)
        elif "prefixItems" in schema and isinstance(t, inspect.StructType | inspect.NamedTupleType):
            for field, item in zip(reversed(t.fields), reversed(schema["prefixItems"]), strict=False):
                item["title"] = field.encode_name
        return schema

    def _keys(self, of: inspect.DictType | inspect.FrozenDictType) -> dict[str, Any]:
        """A key is always text: what it is the text of stands as its format."""
        names = self.to_schema(of.key_type)
        kind = names.pop("type", "string")
        named = names if kind == "string" else {"format": kind, **names}
        return {"propertyNames": named} if named else {}
