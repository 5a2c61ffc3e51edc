"""The gRPC contract as serving/contract/croupier.proto states it: a client with that file and nothing of ours gets an arm."""

import json
import re
import struct
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tritonclient.grpc import service_pb2

from croupier import serving
from croupier.models.baselines import Uniform
from croupier.serving.triton.server import Ports
from tests.serving import apps
from tests.serving.ended_at_once import EndedAtOnce

PROTO = Path(serving.__file__).parent / "contract" / "croupier.proto"
TYPES = {"string": 9, "int64": 3, "bytes": 12}


def messages():
    """{full name: class}, from the text of the .proto alone (protoc is not at hand here)."""
    file = descriptor_pb2.FileDescriptorProto(name="croupier.proto", package="inference", syntax="proto3")
    stack = []
    for line in PROTO.read_text().splitlines():
        if found := re.match(r"\s*message (\w+)", line):
            stack.append((stack[-1].nested_type if stack else file.message_type).add(name=found[1]))
        elif found := re.match(r"\s*(repeated )?(\w+) (\w+) = (\d+);", line):
            field = stack[-1].field.add(name=found[3], number=int(found[4]), label=3 if found[1] else 1)
            if found[2] in TYPES:
                field.type = TYPES[found[2]]
            else:
                field.type, field.type_name = 11, f".inference.{stack[-1].name}.{found[2]}"
        elif line.strip() == "}" and stack:
            stack.pop()
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = ("ModelInferRequest", "ModelInferResponse")
    return {n: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"inference.{n}")) for n in names}


def test_its_fields_are_those_of_the_protocol():
    for name, made in messages().items():
        real = getattr(service_pb2, name).DESCRIPTOR.fields_by_name
        for field in made.DESCRIPTOR.fields:
            assert (field.number, field.type, field.is_repeated) == (
                real[field.name].number,
                real[field.name].type,
                real[field.name].is_repeated,
            )


@pytest.mark.slow
def test_a_bare_client_gets_an_arm(tmp_path):
    apps.write(tmp_path, Uniform())
    request_class, response_class = messages().values()
    values = {"unit_id": b"user-7", "context": json.dumps({"age": 31}).encode(), "arms": b'["reel-01", "reel-02"]'}
    request = request_class(model_name="select_arm")
    for name, value in values.items():
        request.inputs.add(name=name, datatype="BYTES", shape=[1, 1])
        request.raw_input_contents.append(struct.pack("<I", len(value)) + value)
    with EndedAtOnce(tmp_path, ports=Ports.free()) as triton, grpc.insecure_channel(triton.grpc) as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer", request_class.SerializeToString, response_class.FromString
        )
        reply = call(request, timeout=10)
    raw = {out.name: content for out, content in zip(reply.outputs, reply.raw_output_contents, strict=True)}
    shapes = {out.name: list(out.shape) for out in reply.outputs}
    assert raw["arm"][4:].decode() in ("reel-01", "reel-02")
    assert struct.unpack("<d", raw["propensity"]) == (0.5,)
    assert struct.unpack("<2d", raw["pmf"]) == (0.5, 0.5)
    assert (shapes["pmf"], shapes["arm"]) == ([1, 2], [1, 1])
    assert struct.unpack("<q", raw["release"]) == (1,)
    assert len(raw["event_id"][4:]) == 36
    assert raw["error"] == struct.pack("<I", 0)
