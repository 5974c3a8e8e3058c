"""Ways to break Featom, each of which a check must catch. Never in the product.

A sabotage changes the product in the memory of one process. Each asserts that it still finds what
it means to break.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from tests.consistency.sabotages import (
    answers,
    chains,
    creations,
    durability,
    etags,
    reads,
    rules,
    writes,
)

SABOTAGES: Final[Mapping[str, Callable[[], None]]] = MappingProxyType(
    {
        sabotage.__name__: sabotage
        for sabotage in (
            writes.no_version_check,
            writes.no_check_of_what_is_left,
            writes.apply_twice_on_retry,
            writes.apply_twice_at_once,
            writes.acknowledge_before_commit,
            writes.apply_later_than_answered,
            writes.refuse_what_was_committed,
            writes.write_batches_in_parts,
            writes.write_to_the_next_entity,
            writes.leave_the_history,
            writes.leave_the_requests,
            etags.etag_of_xmin_only,
            etags.heed_no_etag,
            etags.refuse_current_etags,
            creations.create_what_exists,
            creations.refuse_what_is_absent,
            answers.make_answers_up,
            answers.answer_from_memory,
            answers.replay_the_present,
            answers.rehearse_in_earnest,
            answers.rehearse_from_the_beginning,
            answers.rehearse_with_an_etag,
            answers.lose_a_feature,
            answers.turn_the_clock_back,
            reads.read_key_by_key,
            chains.follow_without_waiting,
            durability.vouch_for_others,
            durability.keep_the_epoch,
            rules.no_revision_check,
            rules.one_violation_dropped,
        )
    }
)
