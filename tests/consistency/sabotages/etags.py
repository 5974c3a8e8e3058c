"""Etags that do not tell versions apart, or are not heeded."""

from typing import Any, Final
from uuid import UUID

from codec import outcome as outcome_codec
from domain.aggregate import FeatureAggregate
from domain.errors import StaleEtag
from domain.etag import Etag, etag_token
from domain.outcome import UpdateOutcome
from repository.statements import READ, Query
from repository.writing import snapshot
from repository.writing.row import Row
from repository.writing.write_protocol import WriteProtocol
from tests.consistency.sabotages.breaking import break_statement, now_and_then, replace_in

_TRANSACTION: Final = Query(
    "SELECT xmin::text::bigint FROM aggregates"
    " WHERE entity_type = $1 AND entity_id = $2 AND uid = $3"
)


def etag_of_xmin_only() -> None:
    """Make etags of the transaction that wrote the row, which several versions share."""
    transactions: dict[UUID, int] = {}
    write = WriteProtocol._write

    def row_with_xmin(*arguments: Any, **options: Any) -> Any:
        row = Row(*arguments, **options)
        if row.read is not None:
            transactions[row.aggregate.uid] = row.read.xmin
        return row

    async def write_and_look(self: WriteProtocol, evaluation: Any, *arguments: Any) -> Any:
        lost = await write(self, evaluation, *arguments)
        for row in evaluation.rows.values():
            aggregate = row.aggregate
            found = await self._readers.read(_TRANSACTION, *row.key, aggregate.uid)
            if found:
                transactions[aggregate.uid] = found[0][0]
        return lost

    def token(uid: UUID, epoch: int, version: int) -> bytes:
        return etag_token(uid, epoch, transactions.get(uid, 0))

    def etag(self: FeatureAggregate | UpdateOutcome) -> Etag:
        return Etag(self.uid, self.epoch, transactions.get(self.uid, 0))

    replace_in(snapshot, "Row", row_with_xmin)
    replace_in(WriteProtocol, "_write", write_and_look)
    replace_in(FeatureAggregate, "etag", property(etag))
    replace_in(UpdateOutcome, "etag", property(etag))
    replace_in(outcome_codec, "etag_token", token)
    break_statement(READ, "read_aggregates", "a.version", "a.xmin::text::bigint")


def heed_no_etag() -> None:
    """Apply whatever is asked for, whatever its etag."""
    replace_in(FeatureAggregate, "_require_current", lambda self, etag: None)


def refuse_current_etags() -> None:
    """Refuse an etag now and then, though it is current."""
    require = FeatureAggregate._require_current

    def refuse(self: FeatureAggregate, etag: Etag | None) -> None:
        require(self, etag)
        if etag is not None and now_and_then():
            raise StaleEtag(self.version)

    replace_in(FeatureAggregate, "_require_current", refuse)
