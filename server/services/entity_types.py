"""The EntityTypeService: convert, ask, convert back."""

import base64
import binascii
from typing import Final

from application.entity_types import EntityTypes
from domain.entity_key import entity_type_problem
from domain.entity_type import EntityType
from domain.entity_type_store import EntityTypeStore
from domain.errors import EntityTypeNotFound
from domain.limits import DEFAULT_PAGE, MAX_PAGE, MAX_PAGE_BYTES
from featom.v1 import entity_type_service_pb2 as pb
from server.conversion.entity_types import (
    apply_response,
    check_response,
    read_entity_type,
    read_type_etag,
    with_etag,
)
from server.conversion.fields import Violations
from server.conversion.reads import (
    page_token,
    read_page_size,
    read_page_token,
)
from server.rpc.call import Call
from server.rpc.decoding import Decoder

SERVICE: Final = pb.DESCRIPTOR.services_by_name["EntityTypeService"]


class EntityTypeServicer:
    """The methods of the service, named as in the contract."""

    def __init__(self, types: EntityTypes, store: EntityTypeStore, decode: Decoder) -> None:
        self._types = types
        self._store = store
        self._decode = decode

    async def ApplyEntityType(self, call: Call) -> bytes:
        request = self._decode(pb.ApplyEntityTypeRequest, call.request)
        message = request.entity_type
        violations = Violations()
        if request.incompatible_change not in pb.IncompatibleChange.values():
            violations.note("incompatible_change", "must be one that this server knows")
        etag = read_type_etag(message.etag, message.name, "entity_type.etag", violations)
        violations.raise_if_any()
        applied = await self._types.apply(
            read_entity_type(message, self._types.violations),
            etag,
            validate_only=request.validate_only,
            accept_existing=request.incompatible_change == pb.INCOMPATIBLE_CHANGE_ACCEPT_EXISTING,
        )
        return apply_response(applied)

    async def GetEntityType(self, call: Call) -> bytes:
        request = self._decode(pb.GetEntityTypeRequest, call.request)
        _require_name(request.name, "name")
        found = (await self._store.current(request.name)).definition
        current = found is not None and request.revision in (0, found.revision)
        if not current:
            found = await self._past(request.name, request.revision)
        if found is None:
            raise EntityTypeNotFound
        message = with_etag(found)
        if not current:
            message.ClearField("etag")
        return pb.GetEntityTypeResponse(entity_type=message).SerializeToString()

    async def ListEntityTypes(self, call: Call) -> bytes:
        request = self._decode(pb.ListEntityTypesRequest, call.request)
        violations = Violations()
        size = read_page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE, violations)
        after = _read_name_token(request.page_token, violations)
        violations.raise_if_any()
        listed, more = await self._store.list_types(after, size, MAX_PAGE_BYTES)
        response = pb.ListEntityTypesResponse(entity_types=map(with_etag, listed))
        if more:
            response.next_page_token = _name_token(listed[-1].name)
        return response.SerializeToString()

    async def DeleteEntityType(self, call: Call) -> bytes:
        request = self._decode(pb.DeleteEntityTypeRequest, call.request)
        _require_name(request.name, "name")
        violations = Violations()
        etag = read_type_etag(request.etag, request.name, "etag", violations)
        violations.raise_if_any()
        await self._types.delete(request.name, etag, force=request.force)
        return pb.DeleteEntityTypeResponse().SerializeToString()

    async def CheckAggregates(self, call: Call) -> bytes:
        request = self._decode(pb.CheckAggregatesRequest, call.request)
        _require_name(request.entity_type, "entity_type")
        violations = Violations()
        size = read_page_size(request.page_size, MAX_PAGE, MAX_PAGE, violations)
        after = read_page_token(request.page_token, request.entity_type, violations)
        if request.HasField("definition") and request.definition.name != request.entity_type:
            violations.note("definition.name", "must be the entity type")
        violations.raise_if_any()
        definition = await self._definition_to_check(request)
        count = 0 if after else await self._store.count(request.entity_type)
        checked = await self._types.check(definition, after, size)
        token = page_token(request.entity_type, checked.last_id) if checked.last_id else ""
        return check_response(checked, count, token)

    async def _definition_to_check(self, request: pb.CheckAggregatesRequest) -> EntityType:
        if request.HasField("definition"):
            return read_entity_type(request.definition, self._types.violations)
        found = (await self._store.current(request.entity_type)).definition
        if found is None:
            raise EntityTypeNotFound
        return found

    async def _past(self, name: str, revision: int) -> EntityType | None:
        return await self._store.revision(name, revision) if revision > 0 else None


def _require_name(name: str, field: str) -> None:
    violations = Violations()
    violations.note(field, entity_type_problem(name))
    violations.raise_if_any()


def _name_token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _read_name_token(token: str, violations: Violations) -> str:
    try:
        name = base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, ValueError):
        name = "?"
    if token and entity_type_problem(name):
        violations.note("page_token", "is not a page token of this store")
    return name
