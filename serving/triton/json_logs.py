"""Logs of a model's process as JSON lines on standard error, which Triton writes into its own log."""

import json
import logging


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the exception if there is one. Nothing of a unit."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line of one record, without its end."""
        line = {"at": round(record.created, 3), "level": record.levelname, "logger": record.name,
                "message": record.getMessage()}  # fmt: skip
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_as_json() -> None:
    """Makes every logger of this process write JSON lines."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
