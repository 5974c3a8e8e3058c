"""Entity types are applied, read back and deleted through the client."""

from datetime import UTC, datetime, timedelta

import pytest
from featom_client import (
    Client,
    EntityType,
    EntityTypeInUse,
    EntityTypeNotFound,
    FeatureSpec,
    IncompatibleChange,
    InvalidRequest,
    LateValue,
    Rule,
    RuleViolated,
)

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_an_entity_type_is_what_was_applied(client: Client, kind: str) -> None:
    features = {
        "age": FeatureSpec("int64", required=True, minimum=0, maximum=150, late_policy="reject"),
        "tags": FeatureSpec("string_list", allowed_values=["a", "b"], max_length=3),
        "score": FeatureSpec("double", ttl=timedelta(days=2), description="a score"),
        "face": FeatureSpec("float_vector", dimension=2, allow_non_finite=True),
    }
    rules = (Rule("young", "features.age < 99", "too old"),)
    wanted = EntityType(kind, features, rules, additional_features="reject")
    rehearsed = client.apply_entity_type(wanted, validate_only=True)
    assert len(rehearsed.differences) >= len(features)
    applied = client.apply_entity_type(wanted).entity_type
    assert client.get_entity_type(kind) == applied
    assert applied in list(client.list_entity_types())
    assert client.apply_entity_type(applied).differences == ()
    assert applied.features["age"] == features["age"]
    with pytest.raises(RuleViolated) as broken:
        client.update(kind, "1", age=-1, colour="red")
    assert {each.type for each in broken.value.violations} == {"RANGE", "ADDITIONAL_FEATURE"}
    client.update(kind, "1", age=40, event_time=NOON)
    with pytest.raises(LateValue):
        client.update(kind, "1", age=39, event_time=NOON - HOUR)
    narrower = EntityType(kind, {"age": FeatureSpec("int64", maximum=30)})
    with pytest.raises(IncompatibleChange):
        client.apply_entity_type(narrower)
    assert client.apply_entity_type(narrower, accept_existing=True).violating_aggregates == 1
    with pytest.raises(EntityTypeInUse):
        client.delete_entity_type(kind)
    client.delete_entity_type(kind, force=True)
    with pytest.raises(EntityTypeNotFound):
        client.get_entity_type(kind)


def test_a_definition_that_cannot_be_sent_names_all_that_is_wrong(client: Client) -> None:
    wrong = EntityType(
        "t", {"a": FeatureSpec("int", minimum=[]), "b": FeatureSpec("bool")}, (), "x"
    )
    with pytest.raises(InvalidRequest) as refused:
        client.apply_entity_type(wrong)
    subjects = [each.subject for each in refused.value.violations]
    assert subjects == ["additional_features", "features.a.type", "features.a.minimum"]
