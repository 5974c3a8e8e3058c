"""Answers that rest on what a failover may lose."""

from repository.statements import DURABILITY, READ, WRITE
from tests.consistency.sabotages.breaking import break_statement


def vouch_for_others() -> None:
    """End a backend that waits for a standby, and answer from what that lets be seen."""
    for name in ("waits_for_standby", "end_backend"):
        break_statement(DURABILITY, name, "'SyncRep'", "'nothing'")
    break_statement(DURABILITY, "announce", "WHERE", "WHERE false AND")
    break_statement(DURABILITY, "withdraw", "(true,", "(false,")
    in_doubt = "e.commits_in_doubt IS NOT NULL"
    break_statement(READ, "read_aggregates", in_doubt, "false")
    for name in ("read_for_update", "read_for_update_with_requests"):
        break_statement(WRITE, name, in_doubt, "false")


def keep_the_epoch() -> None:
    """Take a new primary for the one before."""
    timeline = "e.timeline IS NOT DISTINCT FROM current_timeline()"
    break_statement(DURABILITY, "look_around", timeline, "true")
    break_statement(DURABILITY, "follow_timeline", "follow_timeline()", "NULL::text")
