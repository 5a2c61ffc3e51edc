"""Calls without an answer yet, when their connection goes or their caller does."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from croupier.serving.client.aio import AsyncClient
from croupier.serving.client.client import Client

ARMS = ["reel-01", "reel-02", "reel-03"]


class Holding(service_pb2_grpc.GRPCInferenceServiceServicer):
    """A server that takes calls and answers none before `ended`."""

    def __init__(self):
        self.taken, self.ended = 0, threading.Event()

    def ModelInfer(self, request, context):
        self.taken += 1
        self.ended.wait()
        return service_pb2.ModelInferResponse()


@pytest.fixture
def holding():
    held, server = Holding(), grpc.server(ThreadPoolExecutor(8))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(held, server)
    held.url = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield held
    held.ended.set()
    server.stop(0).wait()


@pytest.mark.parametrize("how", ["closed", "made anew", "cancelled"])
def test_asyncio_calls_in_flight_are_answered_when_the_connection_goes_and_cancelled_only_by_their_caller(holding, how):
    async def main():
        client = AsyncClient(holding.url, deadline_ms=60_000)
        tasks = [asyncio.create_task(client.select(unit_id="u", context={}, arms=ARMS)) for _ in range(3)]
        while holding.taken < 3:
            await asyncio.sleep(0.005)
        if how == "closed":
            await client.close()
            tasks.append(asyncio.create_task(client.select(unit_id="u", context={}, arms=ARMS)))
        elif how == "made anew":
            client._client.connection.generation += 1  # as after a probe on a new connection
            late = [asyncio.create_task(client.select(unit_id="u", context={}, arms=ARMS)) for _ in range(2)]
            while holding.taken < 5:
                await asyncio.sleep(0.005)
            assert [task.done() for task in late] == [False, False]
            [task.cancel() for task in late]
        else:
            [task.cancel() for task in tasks]
        found = await asyncio.gather(*tasks, return_exceptions=True)
        await client.close()
        return found

    found = asyncio.run(main())
    if how == "cancelled":
        assert [type(each) for each in found] == [asyncio.CancelledError] * 3
    else:
        assert {each.role for each in found} == {"fallback"}


def test_threads_calls_in_flight_are_answered_when_the_client_is_closed(holding):
    client = Client(holding.url, deadline_ms=60_000)
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(client.select, unit_id="u", context={}, arms=ARMS) for _ in range(3)]
        while holding.taken < 3:
            time.sleep(0.005)
        client.close()
        assert {call.result().role for call in calls} == {"fallback"}
