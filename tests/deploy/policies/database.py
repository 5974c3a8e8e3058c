"""The database, and the roles in which it is used."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from repository.postgres import PostgresOptions
from server.embedded_postgres.settings import SETTINGS
from tests.deploy.command_line import settings_from
from tests.deploy.manifests import Manifests, name_of

CONNECTIONS_OF_THE_PROBE: Final = 1
# The migration, an operator's own, and whoever looks after the database.
CONNECTIONS_OF_OTHERS: Final = 10


def the_server_has_a_database_and_never_one_of_its_own(objects: Manifests) -> Iterator[str]:
    for workload in (objects.server, objects.migration):
        if not objects.environment(workload).get("FEATOM_DSN"):
            yield f"{name_of(workload)} has no FEATOM_DSN"


def the_servers_connect_as_a_role_that_the_migration_grants_to(objects: Manifests) -> Iterator[str]:
    server, migration = objects.environment(objects.server), objects.environment(objects.migration)
    role = urlsplit(server.get("FEATOM_DSN", "")).username
    if role == urlsplit(migration.get("FEATOM_DSN", "")).username:
        yield f"servers and migration are both {role}, so servers could change the schema"
    if role != migration.get("FEATOM_APP_ROLE"):
        yield f"the servers are {role}, the migration grants to {migration.get('FEATOM_APP_ROLE')}"


def a_database_is_brought_unless_it_is_azures(objects: Manifests) -> Iterator[str]:
    outside = ".azure.com" in objects.environment(objects.server)["FEATOM_DSN"]
    if outside == bool(objects.database_parameters):
        yield "a database is brought and not used, or used and not brought"


def the_database_allows_the_connections_of_all_servers(objects: Manifests) -> Iterator[str]:
    settings = settings_from(objects.environment(objects.server))
    scalers = objects.of("HorizontalPodAutoscaler")
    servers = scalers[0]["spec"]["maxReplicas"] if scalers else objects.server["spec"]["replicas"]
    each = PostgresOptions(lanes=settings.lanes, readers=settings.readers).connections
    needed = servers * (each + CONNECTIONS_OF_THE_PROBE) + CONNECTIONS_OF_OTHERS
    parameters = objects.database_parameters
    if parameters and needed > (allowed := int(parameters.get("max_connections", "100"))):
        yield f"{servers} servers need {needed} connections, the database allows {allowed}"


def the_database_has_the_predicate_locks_of_the_embedded_one(objects: Manifests) -> Iterator[str]:
    parameter = "max_pred_locks_per_transaction"
    parameters = objects.database_parameters
    if parameters and parameters.get(parameter) != SETTINGS[parameter]:
        yield f"{parameter} is not {SETTINGS[parameter]}"
