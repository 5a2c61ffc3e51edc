"""Tells people of an alarm, by the notifiers that CROUPIER_NOTIFIER names: Airflow's own, a provider's, or yours.

    {"airflow.providers.smtp.notifications.smtp.SmtpNotifier": {"to": "ann@example.org",
                                                                "subject": "{{ croupier.subject }}"}}

Each argument is a template of Airflow, as everywhere, and knows `croupier` beside the task's context.
"""

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from airflow.sdk import BaseNotifier, get_current_context

from croupier.dags.common import address
from croupier.features.clock import now_us
from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.serving.health import notices

EXPECTED = 'expected JSON such as {"airflow.providers.smtp.notifications.smtp.SmtpNotifier": {"to": "ann@example.org"}}'


def people(said: Mapping[str, Any]) -> None:
    """Tells people what health `said` of an app (its "app", "level", "sentence", "cause", "remedy" and "silenced"),
    where they do not know it yet; nobody where no notifier is set. Raises ValueError where the setting is not as it
    should be, and what a notifier raises: then all of them are asked again at the next try."""
    notifiers = made(Settings().notifier)
    if not notifiers:
        return
    store, now = Workspace.open(said["app"]).store, now_us()
    news = notices.due(store, said, now=now)
    if not news:
        return
    context: Any = get_current_context()
    context["croupier"] = words(said, news)
    for notifier in notifiers:
        notifier.render_template_fields(context)
        notifier.notify(context)
    notices.sent(store, said, now=now)
    print(f"told {', '.join(type(notifier).__name__ for notifier in notifiers)}: {context['croupier']['subject']}")


def words(said: Mapping[str, Any], news: str) -> dict[str, str]:
    """Returns what a notifier's templates may use as `croupier`."""
    kept = {name: " ".join(str(said[name]).split()) for name in ("app", "level", "sentence", "cause", "remedy")}
    subject = f"croupier, {news}: {kept['sentence']}"
    return kept | {"news": news, "subject": subject, "page": address(kept["app"], layout.HEALTH_PAGE)}


def made(setting: str) -> list[BaseNotifier]:
    """Returns the notifiers that the setting names. Raises ValueError where it does not name any that can be made."""
    if not setting:
        return []
    try:
        named = json.loads(setting)
    except ValueError as error:
        raise ValueError(f"CROUPIER_NOTIFIER: found {setting[:80]!r}, which is no JSON ({error}); {EXPECTED}") from None
    if not isinstance(named, dict) or not all(isinstance(given, dict) for given in named.values()):
        raise ValueError(f"CROUPIER_NOTIFIER: found {setting[:80]!r}; {EXPECTED}")
    return [_made(path, given) for path, given in named.items()]


def _made(path: str, given: dict[str, Any]) -> BaseNotifier:
    module, _, name = path.rpartition(".")
    try:
        notifier = getattr(import_module(module), name)(**given)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ValueError(
            f"CROUPIER_NOTIFIER: found {path!r}, of which no notifier can be made with {', '.join(given) or 'nothing'} "
            f"({error}); {EXPECTED}; is its provider installed?"
        ) from None
    if not isinstance(notifier, BaseNotifier):
        raise ValueError(f"CROUPIER_NOTIFIER: found {path!r}, which is no notifier of Airflow; {EXPECTED}")
    return notifier
