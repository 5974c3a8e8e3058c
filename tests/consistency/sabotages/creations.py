"""Creations that are not kept from what exists, or are kept from what does not."""

from domain.aggregate import FeatureAggregate
from domain.errors import AggregateExists
from tests.consistency.sabotages.breaking import now_and_then, replace_in


def create_what_exists() -> None:
    """Apply whatever is asked for, whether or not there must be no aggregate."""
    replace_in(FeatureAggregate, "_require_absent", lambda self: None)


def refuse_what_is_absent() -> None:
    """Refuse now and then to create, though there is no aggregate."""
    require = FeatureAggregate._require_absent

    def refuse(self: FeatureAggregate) -> None:
        require(self)
        if now_and_then():
            raise AggregateExists(1)

    replace_in(FeatureAggregate, "_require_absent", refuse)
