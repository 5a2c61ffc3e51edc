"""Triton's entry to `select_arm`: tensors in, tensors out. What it does is in serving/triton/arms.py."""

from typing import Any

import triton_python_backend_utils as pb_utils

from croupier.serving.triton import arms, processes, wire


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self.service = arms.SelectArm(args, pb_utils)
        processes.settled()

    def execute(self, requests: list[Any]) -> list[Any]:
        calls = [{name: _column(request, name) for name in wire.INPUTS} for request in requests]
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(name, column) for name, column in columns.items()])
            for columns in self.service.answer(calls)
        ]

    def finalize(self) -> None:
        self.service.close()


def _column(request: Any, name: str) -> Any:
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy()
