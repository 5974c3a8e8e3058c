"""The checker: a recording and the history that the database kept, against every promise.

O(n log n) in the number of attempts and changes.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from tests.consistency.checks import (
    conditions,
    creations,
    erasures,
    folds,
    order,
    reads,
    replays,
    snapshots,
    traceless,
    updates,
    versions,
)
from tests.consistency.evidence import Evidence
from tests.consistency.history import History
from tests.consistency.operations import Attempt, Kind

Check: TypeAlias = Callable[[Evidence], Iterator[str]]

CHECKS: Final[Sequence[Check]] = (
    updates.acknowledged_updates_are_there_once,
    updates.unknown_updates_are_there_at_most_once,
    updates.refused_updates_are_not_there,
    updates.every_change_was_asked_for,
    updates.updates_of_many_aggregates_are_whole,
    updates.answers_tell_the_version_that_was_made,
    updates.answers_tell_when_and_what_was_late,
    traceless.rehearsals_change_nothing,
    traceless.rehearsals_tell_what_would_come,
    traceless.rehearsals_give_no_etag,
    traceless.what_is_left_as_it_was_is_current,
    replays.a_replay_equals_the_first_answer,
    replays.one_answer_is_the_first,
    replays.reused_request_ids_are_refused,
    versions.versions_are_dense,
    versions.commit_times_rise,
    folds.each_change_is_what_was_asked_for,
    folds.stored_states_are_folds,
    folds.counters_are_sums,
    order.real_time_order_holds,
    conditions.an_etag_names_one_version,
    conditions.conditions_held,
    conditions.what_was_left_as_it_was_had_the_etag,
    conditions.refusals_had_a_reason,
    conditions.no_etag_outlives_a_failover,
    creations.what_must_be_absent_was_absent,
    creations.who_was_refused_as_it_exists_met_it,
    reads.reads_are_committed_versions,
    reads.reads_are_never_old,
    reads.reads_are_never_early,
    snapshots.what_is_seen_together_stood_together,
    snapshots.no_half_of_a_batch_is_seen,
    erasures.what_was_erased_is_gone,
    erasures.what_was_erased_is_not_replayed,
)

_SHOWN: Final = 5


class Report(NamedTuple):
    """What was checked, and what was found."""

    attempts: Counter[str]
    """How many ended how, by kind and verdict."""
    failures: Counter[str]
    """The reasons of those that did not succeed."""
    changes: int
    violations: dict[str, list[str]]
    """By the name of the check."""

    def __str__(self) -> str:
        lines = [
            f"attempts: {_listed(self.attempts)}",
            f"failures: {_listed(self.failures)}",
            f"changes in the history: {self.changes:,}",
        ]
        for check in CHECKS:
            found = self.violations.get(check.__name__, [])
            lines.append(f"{check.__name__.replace('_', ' ')}: {_said(found)}")
            lines += [f"    {text}" for text in found[:_SHOWN]]
        return "\n".join(lines)


def check(attempts: Sequence[Attempt], history: History) -> Report:
    """Hold a recording against a history."""
    evidence = Evidence(attempts, history)
    found = {check.__name__: list(check(evidence)) for check in CHECKS}
    return Report(
        Counter(f"{kind_of(attempt)} {attempt.answer.verdict}" for attempt in attempts),
        Counter(attempt.answer.reason for attempt in attempts if attempt.answer.reason),
        sum(map(len, history.entries.values())),
        {name: texts for name, texts in found.items() if texts},
    )


def kind_of(attempt: Attempt) -> str:
    """The kind of a request, for people."""
    kind, parts = attempt.request.kind, attempt.request.parts
    if kind is Kind.UPDATE and any(part.etag for part in parts):
        return "conditional update"
    if any(part.must_be_absent for part in parts):
        return "creation"
    return kind if len(parts) == 1 else f"batched {kind}"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common()) or "none"


def _said(found: list[str]) -> str:
    return f"{len(found):,} VIOLATIONS" if found else "holds"
