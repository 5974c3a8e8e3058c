"""What every overlay must hold, beyond the schemas: each policy yields what is wrong, in words."""

import inspect
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from tests.deploy.manifests import Manifests
from tests.deploy.policies import (
    api_server,
    database,
    environment,
    network,
    pods,
    references,
    services,
    smoke,
)

Policy: TypeAlias = Callable[[Manifests], Iterator[str]]

POLICIES: Final[dict[str, Policy]] = {
    name: policy
    for module in (api_server, database, environment, network, pods, references, services, smoke)
    for name, policy in inspect.getmembers(module, inspect.isfunction)
    if policy.__module__ == module.__name__ and not name.startswith("_")
}
