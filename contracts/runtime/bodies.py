"""Request bodies, read with a limit and without recursion."""

from collections.abc import Mapping
from typing import IO, Any

import msgspec
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

MOST_BYTES = 256 * 1024


class BodyTooLarge(APIException):
    """The body has more than MOST_BYTES."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"The body is larger than {MOST_BYTES} bytes."
    default_code = "body_too_large"


class JSONParser(BaseParser):
    """JSON by msgspec. REST framework's own reads any length and answers 500 to deep nesting."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        body = stream.read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise BodyTooLarge
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise ParseError(f"The body is not valid JSON: {error}") from error
