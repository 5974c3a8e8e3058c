"""A server that has no file descriptor left goes on, and takes new clients when it has some."""

import resource
import socket
import time
from contextlib import ExitStack
from typing import Any

import grpc
import psutil
from google.protobuf.message import Message

from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue
from tests.kit.serving import Server, serving

ALONE = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 500)]
PATIENCE = 60.0


def written(store: Any, entity_id: str) -> Message:
    count = pb.FeatureUpdate(name="count", increment=FeatureValue(int64_value=1))
    key = EntityKey(entity_type="files", entity_id=entity_id)
    request = pb.UpdateFeaturesRequest(key=key, updates=[count])
    answer: Message = store.UpdateFeatures(request, timeout=PATIENCE, wait_for_ready=True)
    return answer


def use_up_the_descriptors_of(server: Server, room: int) -> list[socket.socket]:
    """Connections that say nothing, more than there is room for."""
    host, _, port = server.address.rpartition(":")
    process = psutil.Process(server.process.pid)
    most = process.num_fds() + room
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (most, most))
    opened = [socket.create_connection((host, int(port))) for _ in range(2 * room)]
    latest = time.monotonic() + PATIENCE
    while process.num_fds() < most:
        assert time.monotonic() < latest
        time.sleep(0.02)
    return opened


def test_a_server_without_file_descriptors_serves_who_is_there_and_takes_others_later(
    database: str,
) -> None:
    with (
        serving(database, max_connection_age=600, handshake_timeout=600) as server,
        ExitStack() as closing,
    ):
        channel = closing.enter_context(grpc.insecure_channel(server.address, ALONE))
        store: Any = FeatureStoreServiceStub(channel)
        written(store, "before")
        silent = use_up_the_descriptors_of(server, room=20)
        for number in range(10):
            written(store, f"during-{number}")
        for each in silent:
            each.close()
        with grpc.insecure_channel(server.address, ALONE) as another:
            written(FeatureStoreServiceStub(another), "after")
        assert server.process.poll() is None
