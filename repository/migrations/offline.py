"""The SQL of migrations, for who wants to read it or to run it by hand."""

from collections.abc import Collection

from repository.migrations.grants import grants_to
from repository.migrations.revisions import Revision, backfills, revisions
from repository.migrations.session import Patience
from repository.sessions.settings import TEXT_SETTINGS
from runtime.time_outs import milliseconds


def sql_from(
    found: Collection[str] = (),
    *,
    contract: bool = False,
    app_role: str | None = None,
    patience: Patience | None = None,
) -> str:
    """What `up` would run on a database at some revisions; without any, on a new database.

    Conditions are not looked at: neither whether backfills are complete, nor who is connected.
    """
    patience, known = patience or Patience(), revisions()
    parts = [
        *(f"SET {name} TO '{value}';" for name, value in TEXT_SETTINGS.items()),
        f"SET lock_timeout TO {milliseconds(patience.lock_timeout)};",
        f"SET statement_timeout TO {milliseconds(patience.statement_timeout)};",
        *(_sql_of(each) for each in known.pending_expand(found)),
    ]
    if contract or not found:
        parts += [_sql_of(each) for each in known.pending_contract(found)]
    if not found:
        done = "INSERT INTO backfills (name, complete_time) VALUES ('{}', now());"
        parts += [done.format(each.name) for each in backfills()]
    if app_role is not None:
        parts += ["BEGIN;", *(f"{each};" for each in grants_to(app_role)), "COMMIT;"]
    return "\n\n".join(parts) + "\n"


def _sql_of(revision: Revision) -> str:
    from repository.migrations.running import sql_between

    return sql_between(_before(revision), revision.id)


def _before(revision: Revision) -> str:
    known = revisions()
    branch = known.contract if revision in known.contract else known.expand
    at = branch.index(revision)
    if at:
        return branch[at - 1].id
    return "base" if branch is known.expand else known.expand[-1].id
