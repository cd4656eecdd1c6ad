"""The HTTP interface of each module as an OpenAPI document of its own, from what is mounted under its URLs."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from contracts.runtime.gate.published import FORMAT

FORMAT_KEY = "x-contract-format"


def interfaces(urls: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Module and document, of each module with URLs; `urls` are its prefixes.

    Each is made alone, so that a name in one module's components never depends on another's. A view that is none of
    REST framework's is not in it.
    """
    from drf_spectacular.drainage import GENERATOR_STATS
    from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator

    enumerator = EndpointEnumerator()
    endpoints = enumerator.get_api_endpoints()  # type: ignore[no-untyped-call]
    for module, prefixes in sorted(urls.items()):
        generator = SchemaGenerator()  # type: ignore[no-untyped-call]
        generator.inspector = enumerator
        generator.endpoints = [endpoint for endpoint in endpoints if endpoint[0].startswith(prefixes)]
        with GENERATOR_STATS.silence():
            document = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
        yield module, {FORMAT_KEY: FORMAT, **json.loads(json.dumps(document, default=str))}


def without_schemes(document: Mapping[str, Any]) -> dict[str, Any]:
    """Without how one signs in: the name of the session's cookie is each unit's own."""
    components = {name: of for name, of in document.get("components", {}).items() if name != "securitySchemes"}
    return {**document, "components": components}


def no_interface() -> dict[str, Any]:
    """The document of a module that answers nothing."""
    return {FORMAT_KEY: FORMAT, "openapi": "3.0.3", "paths": {}, "components": {}}
