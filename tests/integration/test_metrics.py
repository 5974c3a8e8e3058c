"""What a repository counts of its own doing."""

import pytest

from domain.entity_key import EntityKey
from domain.errors import DatabaseUnavailable
from domain.ports import AtVersion, HistoryQuery
from repository.postgres import PostgresRepository
from telemetry.metrics import Histogram, Sample
from tests.integration.failing_commits import error, failing_commits
from tests.kit.fault_injection import Session, meddled_repository_on, repository_on, touch
from tests.kit.samples import add, put, update


def samples(repository: PostgresRepository, name: str) -> list[Sample]:
    (found,) = (metric for metric in repository.metrics() if metric.name == name)
    return list(found.samples)


def number(repository: PostgresRepository, name: str) -> float:
    ((_, value),) = samples(repository, name)
    assert not isinstance(value, Histogram)
    return value


def histogram(repository: PostgresRepository, name: str) -> Histogram:
    ((_, value),) = samples(repository, name)
    assert isinstance(value, Histogram)
    return value


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
async def test_a_retry_is_counted_by_its_sqlstate(
    shared_database: str, session: Session, key: EntityKey, sqlstate: str
) -> None:
    async with (
        failing_commits(session, key, error(sqlstate), times=3),
        repository_on(shared_database) as repository,
    ):
        await repository.update(update(add("f", 1), key=key))
        labels = {"pool": "writing", "verdict": "again", "sqlstate": sqlstate}
        assert samples(repository, "featom_database_failures_total") == [Sample(labels, 3)]
        assert number(repository, "featom_pipeline_conflicts_total") == 3
        assert histogram(repository, "featom_pipeline_batch_size").total == 4
        assert sum(histogram(repository, "featom_pipeline_queue_wait_seconds").counts) == 1


async def test_a_fault_is_counted_apart_from_a_retry(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    async with (
        failing_commits(session, key, error("23514"), times=1),
        repository_on(shared_database) as repository,
    ):
        with pytest.raises(Exception, match="not this time"):
            await repository.update(update(add("f", 1), key=key))
        labels = {"pool": "writing", "verdict": "fault", "sqlstate": "23514"}
        assert samples(repository, "featom_database_failures_total") == [Sample(labels, 1)]
        assert number(repository, "featom_pipeline_conflicts_total") == 0


async def test_a_race_that_is_lost_without_an_error_is_a_conflict(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    async with meddled_repository_on(shared_database) as (repository, pool):
        await repository.update(update(put("f", 1), key=key))
        pool.before.append(lambda: touch(session, key))
        await repository.update(update(add("f", 1), key=key))
        assert number(repository, "featom_pipeline_conflicts_total") == 1
        assert samples(repository, "featom_database_failures_total") == []


async def test_a_database_that_is_away_is_counted_without_a_sqlstate(key: EntityKey) -> None:
    async with repository_on("postgresql://featom@127.0.0.1:1/featom") as repository:
        with pytest.raises(DatabaseUnavailable):
            await repository.read([key])
        counted = {
            reading.labels["pool"]: reading
            for reading in samples(repository, "featom_database_failures_total")
        }
        assert counted["reading"].labels["verdict"] == "away"
        assert counted["reading"].labels["sqlstate"] == "none"


async def test_connections_are_counted_by_what_they_do(
    shared_database: str, key: EntityKey
) -> None:
    async with repository_on(shared_database) as repository:
        await repository.read([key])
        states = {
            (reading.labels["pool"], reading.labels["state"]): reading.value
            for reading in samples(repository, "featom_database_connections")
        }
        # One that has read, and perhaps one that maintains partitions.
        assert states["reading", "idle"] in (1, 2)
        assert states["writing", "idle"] == states["writing", "in_use"] == 0


async def test_changes_that_are_read_for_the_past_are_counted(
    shared_database: str, key: EntityKey
) -> None:
    async with repository_on(shared_database) as repository:
        for _ in range(5):
            await repository.update(update(add("f", 1), key=key))
        await repository.read_as_of(key, AtVersion(4))
        assert number(repository, "featom_past_changes_total") == 4
        page = await repository.list_changes(HistoryQuery(key, 10, 1_000_000))
        assert number(repository, "featom_past_changes_total") == 4 + 5
        size = sum(map(len, page.changes))
        assert size < number(repository, "featom_past_bytes_total") < 2 * size
