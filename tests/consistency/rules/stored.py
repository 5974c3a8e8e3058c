"""What is said of stored aggregates when nobody writes: which of them a definition would break."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING

from featom.v1.entity_type_service_pb2 import ApplyEntityTypeRequest, CheckAggregatesRequest
from tests.consistency.rules.drawing import TYPES, draw_type
from tests.consistency.rules.judge import stored_breaks
from tests.consistency.rules.past import Step
from tests.consistency.rules.wire import type_message
from tests.consistency.rules.writing import Entity

if TYPE_CHECKING:
    from featom.v1.entity_type_service_pb2_grpc import EntityTypeServiceAsyncStub

_DEFINITIONS = 5


async def stored_are_judged_right(
    chance: Random,
    services: "Sequence[EntityTypeServiceAsyncStub]",
    past: Mapping[Entity, Sequence[Step]],
) -> AsyncIterator[str]:
    """Check and rehearse a few definitions of each type: all that breaks them is named."""
    stored = {entity: steps[-1].after for entity, steps in past.items()}
    for name in TYPES * _DEFINITIONS:
        definition = draw_type(chance, name)
        now = time.time_ns()
        expected = {
            entity_id: found
            for (entity_type, entity_id), features in stored.items()
            if entity_type == name
            and (found := stored_breaks(definition, features, entity_id, now))
        }
        service, message = chance.choice(services), type_message(definition)
        check = CheckAggregatesRequest(entity_type=name, definition=message)
        checked = await service.CheckAggregates(check)
        named = {
            each.entity_id: frozenset((broken.type, broken.subject) for broken in each.violations)
            for each in checked.violating
        }
        if named != expected:
            yield f"{name}: checked as {named}, should be {expected} by {message}"
        rehearsal = ApplyEntityTypeRequest(entity_type=message, validate_only=True)
        answer = await service.ApplyEntityType(rehearsal)
        counted = not all(each.compatible for each in answer.differences)
        if answer.violating_aggregates != (len(expected) if counted else 0):
            yield f"{name}: {answer.violating_aggregates} counted, should be {expected}"
