"""A database on which commits fail as a test wants it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.entity_key import EntityKey
from tests.kit.fault_injection import Session

# A sequence keeps its count through rollbacks.
FAIL_AT_COMMIT = """
CREATE SEQUENCE {name}_commits;
CREATE FUNCTION {name}_fails() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.entity_type = '{name}' AND nextval('{name}_commits') <= {times} THEN
        {failure};
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER {name}_fails AFTER INSERT OR UPDATE ON aggregates
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {name}_fails();
"""

SUCCEED_AGAIN = """
DROP TRIGGER {name}_fails ON aggregates;
DROP FUNCTION {name}_fails;
DROP SEQUENCE {name}_commits;
"""

CHANGES = "SELECT count(*) FROM changes WHERE entity_type = $1"


@asynccontextmanager
async def failing_commits(
    session: Session, key: EntityKey, failure: str, times: int
) -> AsyncIterator[None]:
    """The next commits of this entity type fail, `times` of them."""
    await session.execute(FAIL_AT_COMMIT.format(name=key[0], failure=failure, times=times))
    try:
        yield
    finally:
        await session.execute(SUCCEED_AGAIN.format(name=key[0]))


def error(sqlstate: str) -> str:
    return f"RAISE EXCEPTION 'not this time' USING ERRCODE = '{sqlstate}'"
