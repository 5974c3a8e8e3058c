"""Entity types through gRPC, on two server processes over one database."""

import threading
import time

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure
from grpc_status import rpc_status

from featom.v1 import entity_type_pb2 as types_pb
from featom.v1 import entity_type_service_pb2 as service_pb
from featom.v1 import feature_store_pb2 as pb
from tests.e2e.entity_type_servers import Client, Current, clients, request, two_servers

__all__ = ["clients", "two_servers"]


def refusal(error: grpc.RpcError) -> tuple[str, set[str]]:
    """The reason, and everything that is named."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    info, broken, invalid = ErrorInfo(), PreconditionFailure(), BadRequest()
    for detail in status.details:
        for message in (info, broken, invalid):
            detail.Unpack(message)
    named = {violation.subject for violation in broken.violations}
    return info.reason, named | {violation.field for violation in invalid.field_violations}


def bounded(maximum: int, gap: int) -> types_pb.EntityType:
    definition = types_pb.EntityType(name=Current.name)
    for name in ("a", "b"):
        definition.features[name].type = types_pb.FEATURE_TYPE_INT64
        definition.features[name].maximum.int64_value = maximum
    definition.rules.add(name="near", expression=f"features.a - features.b <= {gap}", message="no")
    return definition


def test_every_way_to_write_is_checked_on_every_server(clients: list[Client]) -> None:
    one, other = clients
    one.update(a=1, b=1)
    one.apply(bounded(9, 0))
    for client in clients:
        with pytest.raises(grpc.RpcError) as refused:
            client.update(a=10, b=1)
        assert refusal(refused.value) == ("RULE_VIOLATED", {"a", "near"})
    batch = pb.BatchUpdateFeaturesRequest(updates=[request("c-2", a=1, b=1), request(a=2, b=1)])
    with pytest.raises(grpc.RpcError) as refused:
        other.features.BatchUpdateFeatures(batch)
    assert refusal(refused.value) == ("RULE_VIOLATED", {"updates[1].near"})
    stream = [
        pb.StreamUpdateFeaturesRequest(sequence=n, update=request(a=n, b=1)) for n in range(3)
    ]
    answers = {
        answer.sequence: answer.WhichOneof("result")
        for answer in other.features.StreamUpdateFeatures(iter(stream))
    }
    assert answers == {0: "response", 1: "response", 2: "error"}


def test_everything_wrong_with_a_definition_is_said_at_once(clients: list[Client]) -> None:
    definition = bounded(1, 1)
    definition.features["a"].pattern = "x"
    definition.features["b"].minimum.int64_value = 2
    definition.features["c"].description = "of no type"
    definition.rules[0].expression = "features.a <"
    with pytest.raises(grpc.RpcError) as refused:
        clients[0].apply(definition)
    reason, named = refusal(refused.value)
    assert reason == "INVALID_VALUE"
    assert named == {
        "entity_type.features[a].pattern",
        "entity_type.features[b].minimum",
        "entity_type.features[c].type",
        "entity_type.rules[0].expression",
    }


def test_the_life_of_an_entity_type(clients: list[Client]) -> None:
    one, other = clients
    first = one.apply(bounded(9, 0)).entity_type
    second = other.apply(bounded(10, 0)).entity_type
    assert (first.revision, second.revision) == (1, 2)
    stale = bounded(11, 0)
    stale.etag = first.etag
    with pytest.raises(grpc.RpcError) as refused:
        one.apply(stale)
    assert refusal(refused.value)[0] == "ETAG_MISMATCH"
    old = one.types.GetEntityType(service_pb.GetEntityTypeRequest(name=Current.name, revision=1))
    assert old.entity_type.features["a"].maximum.int64_value == 9
    one.update(a=1, b=1)
    with pytest.raises(grpc.RpcError) as refused:
        one.apply(bounded(0, 0))
    assert refusal(refused.value) == (
        "INCOMPATIBLE_CHANGE",
        {"features.a.maximum", "features.b.maximum"},
    )
    with pytest.raises(grpc.RpcError) as refused:
        one.types.DeleteEntityType(service_pb.DeleteEntityTypeRequest(name=Current.name))
    assert refusal(refused.value)[0] == "ENTITY_TYPE_IN_USE"
    one.types.DeleteEntityType(service_pb.DeleteEntityTypeRequest(name=Current.name, force=True))
    other.update(a=100, b=1)
    with pytest.raises(grpc.RpcError) as refused:
        other.types.GetEntityType(service_pb.GetEntityTypeRequest(name=Current.name))
    assert refusal(refused.value)[0] == "ENTITY_TYPE_NOT_FOUND"


def test_lists_and_checks_go_page_by_page(clients: list[Client]) -> None:
    for name in ("a1", "a2", "a3"):
        clients[0].apply(types_pb.EntityType(name=name))
    listed, token = [], ""
    while True:
        page = clients[1].types.ListEntityTypes(
            service_pb.ListEntityTypesRequest(page_size=2, page_token=token)
        )
        listed += [each.name for each in page.entity_types]
        token = page.next_page_token
        if not token:
            break
    assert listed[:3] == ["a1", "a2", "a3"]
    for number in range(5):
        clients[0].features.UpdateFeatures(request(f"c-{number}", a=number, b=0))
    checked = clients[1].types.CheckAggregates(
        service_pb.CheckAggregatesRequest(
            entity_type=Current.name, page_size=3, definition=bounded(9, 1)
        )
    )
    assert (checked.aggregates, checked.checked) == (5, 3)
    assert [each.entity_id for each in checked.violating] == ["c-2"]
    assert checked.next_page_token


def test_a_page_of_huge_definitions_fits_into_an_answer(clients: list[Client]) -> None:
    huge = types_pb.EntityType()
    for number in range(1_000):
        huge.features[f"f{number}"].type = types_pb.FEATURE_TYPE_STRING
        huge.features[f"f{number}"].description = "x" * 500
    names = [f"{Current.name}_{number:02}" for number in range(10)]
    for huge.name in names:
        clients[0].apply(huge)
    listed, token = [], ""
    while True:
        asked = service_pb.ListEntityTypesRequest(page_token=token)
        page = clients[1].types.ListEntityTypes(asked)
        listed += [each.name for each in page.entity_types]
        token = page.next_page_token
        if not token:
            break
    assert [name for name in listed if name in names] == names


def test_a_ttl_applied_on_one_server_counts_on_the_other_at_once(clients: list[Client]) -> None:
    one, other = clients
    old = request(a=1)
    old.event_time.seconds = 1_600_000_000
    other.features.UpdateFeatures(old)
    read = pb.GetAggregateRequest(key=old.key)
    assert list(other.features.GetAggregate(read).aggregate.features) == ["a"]
    definition = types_pb.EntityType(name=Current.name)
    definition.features["a"].type = types_pb.FEATURE_TYPE_INT64
    definition.features["a"].ttl.seconds = 60
    one.apply(definition)
    served = other.features.GetAggregate(read).aggregate
    assert (list(served.features), list(served.expired_features)) == ([], ["a"])


def test_a_hostile_definition_leaves_the_server_untouched(clients: list[Client]) -> None:
    hostile = bounded(9, 0)
    for number, expression in enumerate(["1 + " * 10_000 + "1 > 0", "(" * 900, "[1].map(x, x)"]):
        hostile.rules.add(name=f"h{number}", expression=expression, message="no")
    begun = time.monotonic()
    with pytest.raises(grpc.RpcError) as refused:
        clients[0].apply(hostile)
    assert time.monotonic() - begun < 30.0
    assert refusal(refused.value)[0] == "INVALID_VALUE"
    assert clients[0].update(a=10, b=0).version == 1


def test_clients_of_two_servers_never_commit_under_a_revision_that_is_past(
    clients: list[Client],
) -> None:
    clients[0].apply(bounded(50, 50))
    applied, stop = [1], threading.Event()
    mistakes: list[str] = []
    accepted: list[int] = []

    def write(number: int) -> None:
        client = clients[number % 2]
        while not stop.is_set():
            before, value = applied[-1], 40 + len(accepted) % 20
            try:
                aggregate = client.update(a=value, b=value).aggregate
            except grpc.RpcError as error:
                if refusal(error) != ("RULE_VIOLATED", {"a", "b"}):
                    mistakes.append(f"{error}")
                continue
            accepted.append(value)
            under = aggregate.entity_type_revision
            if under < before or value > 49 + under:
                mistakes.append(f"{value} under {under} after {before}")

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for revision in range(2, 12):
        answer = clients[revision % 2].apply(bounded(49 + revision, 50))
        applied.append(answer.entity_type.revision)
        time.sleep(0.05)
    stop.set()
    for writer in writers:
        writer.join()
    assert mistakes == []
    assert applied == list(range(1, 12))
    assert len(accepted) > 10


def test_of_changes_with_one_etag_exactly_one_is_made(clients: list[Client]) -> None:
    etag = clients[0].apply(bounded(9, 0)).entity_type.etag
    ended: list[str] = []

    def change(number: int) -> None:
        definition = bounded(10 + number, 0)
        definition.etag = etag
        try:
            clients[number % 2].apply(definition)
            ended.append("applied")
        except grpc.RpcError as error:
            ended.append(refusal(error)[0])

    changers = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for changer in changers:
        changer.start()
    for changer in changers:
        changer.join()
    assert sorted(ended) == ["ETAG_MISMATCH"] * 7 + ["applied"]
    asked = service_pb.GetEntityTypeRequest(name=Current.name)
    assert clients[0].types.GetEntityType(asked).entity_type.revision == 2


def test_a_huge_definition_holds_nobody_up(clients: list[Client]) -> None:
    """Names and rules of hundreds of kilobytes, in time that a liveness probe waits."""
    huge = types_pb.EntityType(name=Current.name)
    for number in range(1_000):
        spec = huge.features[f"feature_{number}"]
        spec.type = types_pb.FEATURE_TYPE_STRING
        spec.description, spec.pattern = "ü" * 500, "[a-z]*"
        for content in range(50):
            spec.allowed_values.add(string_value="x" + "y" * content)
    for number in range(100):
        expression = " && ".join(f"features.feature_{n} != ''" for n in range(7))
        huge.rules.add(name=f"r{number}", expression=expression, message="😀" * 200)
    begun = time.monotonic()
    applied = clients[0].apply(huge)
    assert applied.entity_type.revision == 1
    assert len(applied.differences) == 1_100
    assert time.monotonic() - begun < 30.0
    begun = time.monotonic()
    with pytest.raises(grpc.RpcError) as refused:
        clients[1].update(a=1)
    assert refusal(refused.value)[0] == "RULE_VIOLATED"
    assert time.monotonic() - begun < 30.0
