"""One alarm is one message: who was told is known, and what could not be sent is due again."""

from croupier.features.store.storage import FolderStore
from croupier.features.utc import DAY, HOUR
from croupier.serving.health import notices
from croupier.serving.health.notices import BEGAN, OVER, STANDS

JUDGED = {"silenced": []}
WELL = JUDGED | {"level": "fine", "cause": ""}
WATCHED = JUDGED | {"level": "watch", "cause": "coverage"}
LOST = JUDGED | {"level": "act", "cause": "rewards_lost"}
BOT = JUDGED | {"level": "act", "cause": "bot_traffic"}


def test_people_are_told_once_of_what_they_do_not_know(tmp_path):
    store = FolderStore(tmp_path)
    day = [
        (0, WELL),
        (1, WATCHED),
        (2, LOST),
        (3, LOST),
        (4, BOT),
        (27, BOT),
        (28, BOT),
        (29, WATCHED),
        (30, WELL),
        (31, LOST),
    ]
    told = []
    for hour, said in day:
        now = DAY + hour * HOUR
        if news := notices.due(store, said, now=now):
            told.append((hour, news))
            notices.sent(store, said, now=now)
    assert told == [(2, BEGAN), (4, BEGAN), (28, STANDS), (29, OVER), (31, BEGAN)]


def test_what_was_not_sent_is_due_again(tmp_path):
    store = FolderStore(tmp_path)
    assert [notices.due(store, LOST, now=DAY + k * HOUR) for k in range(2)] == [BEGAN, BEGAN]
    assert notices.due(store, WELL, now=DAY + 2 * HOUR) == "", "nobody was told of it"


def test_what_is_silenced_is_not_over(tmp_path):
    store = FolderStore(tmp_path)
    notices.sent(store, LOST, now=DAY)
    silenced = WELL | {"silenced": [{"watch": "reward", "level": "act"}]}
    assert notices.due(store, silenced, now=DAY + HOUR) == ""
    less = WELL | {"silenced": [{"watch": "feature", "level": "watch"}]}
    assert notices.due(store, less, now=DAY + HOUR) == OVER
    assert notices.due(store, LOST, now=DAY + HOUR) == "", "the silence has ended, the alarm stands: people know it"
    assert notices.due(store, WELL, now=DAY + HOUR) == OVER
