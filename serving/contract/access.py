"""Names of what a call carries beside its tensors: part of the contract, so that both sides read them here."""

TOKEN = "croupier-token"  # noqa: S105 — the header's name, not a token
GRPC_PREFIX = "triton-grpc-protocol-"  # Triton puts it before the key of a gRPC call
TOKEN_HEADER = f"{GRPC_PREFIX}{TOKEN}"
