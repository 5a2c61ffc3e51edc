"""A notifier that posts JSON to an address: Slack's and Mattermost's incoming webhooks, or a receiver of your own.

    {"croupier.dags.webhook.WebhookNotifier": {"url": "https://hooks.slack.com/services/T/B/X",
                                               "body": {"text": "{{ croupier.subject | e }} {{ croupier.page }}"}}}

It needs no provider of Airflow. Address, body and headers are templates, each text of the body by itself: what a
template brings cannot break the JSON. `| e` is for receivers that read markup, as Slack does: a name that a request
brought along could else mention everybody.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import BaseNotifier

EXPECTED = "expected an address that begins with https:// or http://"


class Unmoved(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: a post that is redirected would arrive as a request without its body."""

    def redirect_request(self, *_: Any) -> None:
        """Returns nothing to follow, so that the answer is an error."""


class WebhookNotifier(BaseNotifier):
    """Posts `body` as JSON to `url`, with `headers` beside; waits for `timeout_seconds`."""

    template_fields = ("url", "body", "headers")

    def __init__(
        self,
        *,
        url: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 10.0,
    ) -> None:
        super().__init__()
        self.url, self.body, self.headers = url, dict(body), dict(headers or {})
        self.timeout_seconds = float(timeout_seconds)

    def notify(self, context: Any) -> None:  # noqa: ARG002 - what it says of the alarm is in the body already
        """Posts the message. Raises RuntimeError where it was not taken, ValueError for an address that is none: the
        error names the host alone, since the rest of a webhook's address is a secret."""
        address = urlsplit(self.url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ValueError(f"WebhookNotifier: found a url of {len(self.url)} characters, {EXPECTED}")
        headers = {"Content-Type": "application/json"} | self.headers
        request = urllib.request.Request(self.url, json.dumps(self.body).encode(), headers)  # noqa: S310 - see above
        try:
            with urllib.request.build_opener(Unmoved).open(request, timeout=self.timeout_seconds):
                return
        except urllib.error.HTTPError as error:
            said = error.read(200).decode(errors="replace")
            found = f"found {error.code} {error.reason} ({said})"
        except OSError as error:
            found = f"found {getattr(error, 'reason', error)}"
        raise RuntimeError(
            f"WebhookNotifier: {address.hostname}: {found}, expected an answer of 200 to 299; it is tried again"
        )
