"""The feature aggregate: all features of one entity, and the only way to change them.

After Evans and Vernon: the aggregate is the consistency boundary. It checks every invariant before
it changes anything, so whatever it was asked, it is always in a state that may be stored.
"""

from collections.abc import Mapping, MutableMapping
from copy import copy
from uuid import UUID

from domain.change import Change
from domain.entity_key import EntityKey
from domain.errors import (
    AggregateExists,
    AggregateNotFound,
    InvalidValue,
    LateValue,
    LimitExceeded,
    RuleViolated,
    StaleEtag,
)
from domain.etag import Etag
from domain.feature import Feature
from domain.feature_spec import FeatureSpec
from domain.limits import DEFAULT_LIMITS, Limits
from domain.plan import Plan
from domain.policy import Policy
from domain.timestamp import MICROSECOND, Timestamp
from domain.update import Deletion, Update, update_violations

_NONE: frozenset[str] = frozenset()
_NO_SPECS: Mapping[str, FeatureSpec] = {}


class FeatureAggregate:
    """One entity's features, at one version.

    An aggregate that was never written, or was deleted, is one at version 0 without features.
    """

    __slots__ = (
        "_features",
        "_last_commit",
        "_limits",
        "_policy",
        "_size",
        "create_time",
        "entity_type_revision",
        "epoch",
        "key",
        "uid",
        "update_time",
        "version",
    )

    def __init__(
        self,
        key: EntityKey,
        uid: UUID,
        features: MutableMapping[str, Feature],
        *,
        epoch: int = 1,
        version: int = 0,
        create_time: Timestamp = 0,
        update_time: Timestamp = 0,
        last_commit: Timestamp = 0,
        size: int = 0,
        limits: Limits = DEFAULT_LIMITS,
        policy: Policy | None = None,
        entity_type_revision: int = 0,
    ) -> None:
        """Take over `features`, which can be copied; `size` is what they take, in bytes.

        `last_commit` is when the entity's last change was, where that is later than `update_time`.
        `policy` is what the entity type asks now; `entity_type_revision` is what these features
        were checked against.
        """
        self.key = key
        self.uid = uid
        self.epoch = epoch
        self.version = version
        self.create_time = create_time
        self.update_time = update_time
        self._features = features
        self._last_commit = max(update_time, last_commit)
        self._size = size
        self._limits = limits
        self._policy = policy
        self.entity_type_revision = entity_type_revision

    @property
    def features(self) -> MutableMapping[str, Feature]:
        """The features by name, to be read only."""
        return self._features

    @property
    def exists(self) -> bool:
        return self.version > 0

    @property
    def etag(self) -> Etag:
        return Etag(self.uid, self.epoch, self.version)

    @property
    def policy(self) -> Policy | None:
        """What the entity type asks; None: there is none."""
        return self._policy

    def copy(self) -> "FeatureAggregate":
        """Another aggregate in the same state."""
        return FeatureAggregate(
            self.key,
            self.uid,
            copy(self._features),
            epoch=self.epoch,
            version=self.version,
            create_time=self.create_time,
            update_time=self.update_time,
            last_commit=self._last_commit,
            size=self._size,
            limits=self._limits,
            policy=self._policy,
            entity_type_revision=self.entity_type_revision,
        )

    def apply(self, update: Update, now: Timestamp) -> Change | None:
        """Apply every operation of `update`, or none.

        Returns the change that was made, or None when there is nothing to record. A change of late
        values only does not advance the version. The commit time is `now`, or just after the last
        change if that is later: it rises with the version.
        Raises InvalidValue, StaleEtag, AggregateExists, LimitExceeded, RuleViolated or LateValue;
        the aggregate is then as it was.
        """
        if len(update.updates) > self._limits.updates:
            raise LimitExceeded(
                "feature updates in a request", self._limits.updates, len(update.updates)
            )
        policy = self._policy
        violations = update_violations(update, policy.non_finite if policy else _NONE)
        if not violations:
            self._require_current(update.etag)
            if update.must_be_absent:
                self._require_absent()
        commit_time = self._next_commit_time(now)
        specs = policy.specs if policy else _NO_SPECS
        plan = Plan(update, self._features, self.version, commit_time, specs)
        violations += plan.violations(known={violation.field for violation in violations})
        if violations:
            raise InvalidValue(violations)
        if plan.is_empty:
            return None
        if policy is not None:
            self._require_policy(policy, plan)
        size = self._checked_size(plan)
        change = self._change(plan, update)
        self._write(change, size)
        return change

    def delete(self, deletion: Deletion, now: Timestamp) -> Change:
        """End this incarnation. Raises AggregateNotFound or StaleEtag."""
        if deletion.etag is not None:
            self._require_current(deletion.etag)
        if not self.exists:
            raise AggregateNotFound
        return Change(
            key=self.key,
            uid=self.uid,
            version=self.version + 1,
            commit_time=self._next_commit_time(now),
            features={},
            late_features={},
            deleted=True,
            request_id=deletion.request_id,
            actor=deletion.actor,
        )

    def _require_current(self, etag: Etag | None) -> None:
        if etag is not None and (etag != self.etag or not self.exists):
            raise StaleEtag(self.version)

    def _require_absent(self) -> None:
        if self.exists:
            raise AggregateExists(self.version)

    def _require_policy(self, policy: Policy, plan: Plan) -> None:
        """Complete the plan with defaults. Raises RuleViolated, with everything, or LateValue."""
        recheck = self.entity_type_revision != policy.revision
        if recheck or plan.removed:
            plan.complete(policy.defaults)
        size = self._size + max(0, plan.growth)
        violations = policy.violations(
            self.key.entity_id, self._features, plan, size=size, recheck=recheck
        )
        if violations:
            raise RuleViolated([*violations, *LateValue(plan.refused).violations])
        if plan.refused:
            raise LateValue(plan.refused)

    def _next_commit_time(self, now: Timestamp) -> Timestamp:
        return max(now, self._last_commit + MICROSECOND)

    def _checked_size(self, plan: Plan) -> int:
        """The size after `plan`. A limit refuses what grows, never what shrinks."""
        count = len(self._features) + plan.added - len(plan.removed)
        if plan.added and count > self._limits.features:
            raise LimitExceeded("features in an aggregate", self._limits.features, count)
        size = self._size + plan.growth
        if plan.growth > 0 and size > self._limits.state_bytes:
            raise LimitExceeded("bytes in an aggregate", self._limits.state_bytes, size)
        return size

    def _change(self, plan: Plan, update: Update) -> Change:
        return Change(
            key=self.key,
            uid=self.uid,
            version=self.version + plan.advances,
            commit_time=plan.commit_time,
            features=plan.changed,
            removed=plan.removed,
            late_features=plan.late,
            late_appends=plan.late_appends,
            operands=plan.operands,
            request_id=update.request_id,
            actor=update.actor,
            entity_type_revision=self._policy.revision if self._policy else 0,
        )

    def _write(self, change: Change, size: int) -> None:
        self._last_commit = change.commit_time
        if not change.advances:
            return
        for name in change.removed:
            del self._features[name]
        for name, feature in change.features.items():
            self._features[name] = feature
        self._size = size
        if not self.exists:
            self.create_time = change.commit_time
        self.version = change.version
        self.entity_type_revision = change.entity_type_revision
        self.update_time = change.commit_time
