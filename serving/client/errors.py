"""How a call fails, whoever decides: a server that is asked over the network, or a selector in the same process."""


class ClientError(RuntimeError):
    """Any failure of a call."""


class Refused(ClientError, ValueError):
    """A field breaks the contract; the message names it."""


class Unavailable(ClientError):
    """No usable answer: the server is down, out of reach, slower than the deadline, or talks nonsense."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
