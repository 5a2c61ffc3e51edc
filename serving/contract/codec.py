"""KServe v2 gRPC messages, the protocol Triton speaks: lists of Python values in and out, no numpy on the way.

A BYTES tensor is, per element, a little-endian uint32 length and the bytes; numbers are packed little-endian.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from struct import pack, unpack, unpack_from
from typing import Any

from tritonclient.grpc import service_pb2

_FORMAT = {"FP64": "d", "INT64": "q"}


def infer_request(model: str, columns: Mapping[str, tuple[str, Sequence[Any]]]) -> Any:
    """`columns`: name → (datatype, one value a row); every tensor is [B, 1]."""
    inputs, contents = [], []
    for name, (datatype, values) in columns.items():
        tensor = service_pb2.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=[len(values), 1])
        inputs.append(tensor)
        contents.append(_packed(datatype, values))
    return service_pb2.ModelInferRequest(model_name=model, inputs=inputs, raw_input_contents=contents)


parse = service_pb2.ModelInferResponse.FromString


def infer_response(response: Any) -> dict[str, list[Any]]:
    """Name → one value a row; where a row holds more than one number, a tuple of them."""
    return {
        out.name: _unpacked(out.datatype, tuple(out.shape), raw)
        for out, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    }


def _packed(datatype: str, values: Sequence[Any]) -> bytes:
    if datatype == "BYTES":
        return b"".join(chain.from_iterable((pack("<I", len(v)), v) for v in values))
    return pack(f"<{len(values)}{_FORMAT[datatype]}", *values)


def _unpacked(datatype: str, shape: tuple[int, ...], raw: bytes) -> list[Any]:
    rows, width = shape[0], shape[1] if len(shape) > 1 else 1
    if datatype == "BYTES":
        texts, at = [], 0
        while at < len(raw):
            (length,) = unpack_from("<I", raw, at)
            texts.append(raw[at + 4 : at + 4 + length].decode())
            at += 4 + length
        if len(texts) != rows * width:
            raise ValueError(f"reply: found {len(texts)} strings, expected {rows * width}: an old stub with numpy 2?")
        return texts
    numbers = unpack(f"<{rows * width}{_FORMAT[datatype]}", raw)
    return list(numbers) if width == 1 else [numbers[i * width : (i + 1) * width] for i in range(rows)]
