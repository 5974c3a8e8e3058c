"""The FeatureStoreService: convert, ask the repository, convert back."""

from collections.abc import Sequence
from typing import Final

from domain.errors import AggregateNotFound
from domain.etag import Etag
from domain.limits import MAX_PAGE_BYTES, Limits
from domain.ports import AggregateReader, AggregateWriter, StoredAggregate
from featom.v1 import feature_store_pb2 as pb
from server.conversion import responses
from server.conversion.reads import (
    page_token,
    read_batch_get,
    read_get,
    read_list,
    require_epoch,
)
from server.conversion.versions import list_versions_response, read_list_versions
from server.conversion.writes import read_deletion, read_update, read_update_batch
from server.rpc.call import Call
from server.rpc.decoding import Decoder
from server.rpc.middleware import MessageMiddleware
from server.rpc.retries import check_retry
from server.rpc.stream_life import StreamLife
from server.rpc.unsent_bytes import UnsentBytes
from server.services.update_stream import UpdateStream

SERVICE: Final = pb.DESCRIPTOR.services_by_name["FeatureStoreService"]


class FeatureStore:
    """The methods of the service, named as in the contract.

    Requests come as bytes and answers go as bytes, so that stored aggregates are served without
    being parsed.
    """

    def __init__(
        self,
        reader: AggregateReader,
        writer: AggregateWriter,
        limits: Limits,
        decode: Decoder,
        life: StreamLife,
        unsent: UnsentBytes,
        message_middleware: Sequence[MessageMiddleware] = (),
    ) -> None:
        """Streams end when their `life` is over, once they have answered what they have read.

        `unsent` counts the answers. `message_middleware` is put around each message of a stream.
        """
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._decode = decode
        self._life = life
        self._unsent = unsent
        self._message_middleware = message_middleware

    async def UpdateFeatures(self, call: Call) -> bytes:
        update = read_update(self._decode(pb.UpdateFeaturesRequest, call.request), call.principal)
        check_retry(call, update)
        if update.return_aggregate:
            self._unsent.require_room()
        outcome = await self._writer.update(update, call.deadline)
        return self._unsent.keep(call, responses.update_response(outcome))

    async def BatchUpdateFeatures(self, call: Call) -> bytes:
        request = self._decode(pb.BatchUpdateFeaturesRequest, call.request)
        batch = read_update_batch(request, self._limits, call.principal)
        check_retry(call, batch)
        if any(update.return_aggregate for update in batch.updates):
            self._unsent.require_room()
        outcome = await self._writer.update_batch(batch, call.deadline)
        return self._unsent.keep(call, responses.batch_update_response(outcome))

    async def StreamUpdateFeatures(self, call: Call) -> None:
        stream = UpdateStream(
            call, self._writer, self._decode, self._life, self._unsent, self._message_middleware
        )
        await stream.run()

    async def DeleteAggregate(self, call: Call) -> bytes:
        request = self._decode(pb.DeleteAggregateRequest, call.request)
        deletion = read_deletion(request, call.principal)
        check_retry(call, deletion)
        outcome = await self._writer.delete(deletion, call.deadline)
        return responses.delete_response(outcome)

    async def GetAggregate(self, call: Call) -> bytes:
        wanted = read_get(self._decode(pb.GetAggregateRequest, call.request))
        with self._unsent.room(call) as room:
            names = wanted.feature_names
            if wanted.point is not None:
                past = await self._reader.read_as_of(wanted.key, wanted.point)
                found = _required(past, wanted.at_least)
                return await room.filled(responses.past_response(found, names, wanted.point))
            snapshot = await self._reader.read([wanted.key], room)
            found = _required(snapshot[0], wanted.at_least)
            return await room.filled(responses.get_response(found, names, snapshot.read_time))

    async def BatchGetAggregates(self, call: Call) -> bytes:
        wanted = read_batch_get(
            self._decode(pb.BatchGetAggregatesRequest, call.request), self._limits
        )
        with self._unsent.room(call) as room:
            found = await self._reader.read(wanted.keys, room)
            for stored in found:
                require_epoch(wanted.at_least, stored)
            names = wanted.feature_names
            if room.is_large:
                response = await responses.large_batch_get_response(wanted.keys, found, names)
            else:
                response = responses.batch_get_response(wanted.keys, found, names)
            return await room.filled(response)

    async def ListAggregates(self, call: Call) -> bytes:
        page = read_list(self._decode(pb.ListAggregatesRequest, call.request), self._limits)
        with self._unsent.room(call) as room:
            listed, more = await self._reader.list_aggregates(*page, MAX_PAGE_BYTES)
            token = page_token(page.entity_type, listed[-1].entity_id) if more else ""
            return await room.filled(responses.list_response(listed, token))

    async def ListAggregateVersions(self, call: Call) -> bytes:
        request = self._decode(pb.ListAggregateVersionsRequest, call.request)
        query = read_list_versions(request, self._limits)
        with self._unsent.room(call) as room:
            page = await self._reader.list_changes(query)
            return await room.filled(list_versions_response(query, page))


def _required(found: StoredAggregate | None, at_least: Etag | None) -> StoredAggregate:
    if found is None:
        raise AggregateNotFound
    require_epoch(at_least, found)
    return found
