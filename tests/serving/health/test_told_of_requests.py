"""What health tells of requests: features left out of them, and how often the policy agrees with an apprenticed app."""

from croupier.serving.health import told, verdict_page
from croupier.serving.health.apprentice import AppAgreement
from croupier.serving.health.examine import Examined
from tests.page_words import unscripted

ODD = {"context.<b>devise</b>": 1234, "arm.price": 7}
AGREED = AppAgreement(policy="vw_cb_adf", share=0.8312, chance=1 / 3, decisions=4321)


def test_features_left_out_are_on_the_page_with_their_counts_most_frequent_first():
    page = unscripted(verdict_page.render_page(Examined("shop", None, None, left_out=ODD)))
    assert "What is left out of requests" in page
    assert "<b>devise</b>" not in page, "a name is the caller's"
    assert page.index("devise") < page.index("1,234") < page.index("arm.price")
    assert "left out" not in verdict_page.render_page(Examined("shop", None, None))


def test_agreement_is_told_in_the_terminal_as_json_and_on_the_page():
    found = Examined("shop", None, None, agreement=AGREED)
    (line,) = [each for each in told.lines(found) if "apprentice" in each]
    assert line.startswith("apprentice mode: vw_cb_adf would have chosen as the app did in 83.1 % of 4,321 decisions")
    assert "by chance 33.3 %" in line
    assert told.as_json(found)["agreement"] == {
        "policy": "vw_cb_adf", "share": 0.8312, "chance": 1 / 3, "decisions": 4321,
    }  # fmt: skip
    assert "83.1 % of 4,321" in verdict_page.render_page(found)
    assert told.as_json(Examined("shop", None, None))["agreement"] is None
