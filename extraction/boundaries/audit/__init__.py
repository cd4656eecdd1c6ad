"""What the databases themselves know of the modules' edges: constraints, views, functions, roles, privileges.

Read only, in one transaction, as the role that each alias logs in with: catalogs are everybody's to read. An alias that
does not answer is said at the end; the others are looked at all the same.

    two schemas of one database   all of it
    a schema that several share   the tables of their models; views and functions there are nobody's
    a schema of no module         what a module's role may use there to reach another's tables
    one role for several modules  dependencies alone: nothing is refused to a role that is the other's too
    databases of one server       each role's privileges in all of them

Not seen: SQL that a function puts together, what extensions bring, large objects. Publications, subscriptions and event
triggers need a role that is E403; a search_path into another's schema finds nothing there without what is E404.
"""

from collections.abc import Iterator

import psycopg
from django.apps import apps

from extraction.boundaries.audit import dependencies, lent, privileges, roles
from extraction.boundaries.audit.databases import LeftOut, databases_of, sharing_a_role
from extraction.boundaries.audit.edges import edges_of, outside
from extraction.boundaries.findings import Finding, Partly, Skipped
from extraction.boundaries.house import House

CORRECT = 'correct "schema" in EXTRACTION["modules"], or make the schema'


def findings(house: House) -> Iterator[Finding]:
    """E401 to E404. After what was found it raises Skipped, where a database was not looked at or has not the schema of
    a module with tables, and Partly, where modules share a role."""
    left_out, unseen = LeftOut(), LeftOut()
    labels = {model._meta.app_label for model in apps.get_models() if model._meta.managed}
    with_tables = {member.name for member in house.members if labels.intersection(member.labels)}
    for member in house.members:
        if not member.alias:
            left_out.add(member.name, 'its "database" is not named in EXTRACTION["modules"]')
    with databases_of(house, left_out) as databases:
        for database in databases:
            try:
                for row in database.all("absent"):
                    if row.module in with_tables:
                        left_out.add(row.module, f"no schema {row.schema!r} in the database {row.database!r}", CORRECT)
                edges = edges_of(database)
                beyond = outside(edges)
                yield from dependencies.findings(database, edges, beyond)
                yield from lent.findings(database, beyond)
                yield from roles.findings(database)
                yield from privileges.findings(database)
            except (psycopg.OperationalError, psycopg.errors.InsufficientPrivilege) as error:
                left_out.add(", ".join(database.aliases), error)
        for modules, reason in sharing_a_role(databases):
            unseen.add(modules, reason)
    said = "; ".join(str(each) for each in (left_out, unseen) if each.by_reason)
    if left_out.by_reason:
        raise Skipped(said)
    if unseen.by_reason:
        raise Partly(said)
