"""SQL in files beside the code, each query under `-- name:`, its identifiers composed by psycopg."""

import re
from pathlib import Path

from psycopg import sql

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


class Queries:
    """The named queries of a file: `queries("fence_table", table=sql.Identifier(…))`."""

    def __init__(self, file: Path) -> None:
        parts = _NAME.split(file.read_text())
        self._texts = dict(zip(parts[1::2], parts[2::2], strict=True))

    def __call__(self, name: str, **parts: sql.Composable) -> sql.Composed:
        """A query with its `{parts}`; values stay placeholders: `%(value)s`. Raises KeyError."""
        return sql.SQL(self._texts[name].strip()).format(**parts)
