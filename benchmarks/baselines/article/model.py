"""The article's domain model and its mapping: an aggregate row, and a row for each feature.

Its C# classes and their Entity Framework configuration, in Python and SQLAlchemy, which has the
same parts: a unit of work, tracked objects, a version that the mapper checks. That xmin can be
the version is SQLAlchemy's own example ("Server Side Version Counters").
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import DateTime, FetchedValue, ForeignKey, Text
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    attribute_keyed_dict,
    mapped_column,
    relationship,
)
from sqlalchemy.types import UserDefinedType


class TransactionNumber(UserDefinedType[int]):
    """PostgreSQL's xid."""

    cache_ok = True
    render_bind_cast = True

    def get_col_spec(self, **_: object) -> str:
        return "xid"


class Base(DeclarativeBase):
    """What is mapped."""


class Feature(Base):
    """A single feature, as an entity within the aggregate."""

    __tablename__ = "features"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    aggregate_id: Mapped[UUID] = mapped_column(ForeignKey("feature_aggregates.id"))
    name: Mapped[str] = mapped_column(Text)
    value: Mapped[str] = mapped_column(Text)
    value_type: Mapped[str] = mapped_column(Text)
    timestamp: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    def update_value(self, value: object, timestamp: datetime) -> None:
        self.value = str(value)
        self.value_type = type(value).__name__
        self.timestamp = timestamp


class FeatureAggregate(Base):
    """The root: nothing changes a feature but by it."""

    __tablename__ = "feature_aggregates"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    entity_id: Mapped[UUID]
    last_modified_utc: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    version: Mapped[int] = mapped_column(
        "xmin", TransactionNumber, system=True, server_default=FetchedValue()
    )
    features: Mapped[dict[str, Feature]] = relationship(
        collection_class=attribute_keyed_dict("name"), cascade="all, delete-orphan"
    )

    __mapper_args__ = {"version_id_col": version, "version_id_generator": False}  # noqa: RUF012

    def update_features(self, updates: Mapping[str, object], timestamp: datetime) -> None:
        for name, value in updates.items():
            self._update_feature(name, value, timestamp)
        self.last_modified_utc = timestamp

    def _update_feature(self, name: str, value: object, timestamp: datetime) -> None:
        if name in self.features:
            self.features[name].update_value(value, timestamp)
        else:
            self.features[name] = Feature(name=name)
            self.features[name].update_value(value, timestamp)
