import re
from pathlib import Path

from campaigns.gates import GateName, Reason

PAGE = Path(__file__).parents[2] / "docs" / "decisions.md"


def test_the_page_on_decisions_lists_every_gate_in_order_and_every_reason():
    text = PAGE.read_text(encoding="utf-8")
    asked, _, rest = text.partition("has the reason `ok`")
    rows = [row.split("|")[1:4] for row in re.findall(r"^\| `.*$", asked, re.MULTILINE)]
    assert [row[0].strip(" `") for row in rows] == [gate.value for gate in GateName]
    at_sending = re.findall(r"^\| .*\|(.*)\|$", rest.partition("\n## ")[0], re.MULTILINE)
    told = [
        name for cell in [*(row[2] for row in rows), *at_sending] for name in re.findall(r"`(\w+)`", cell)
    ]
    assert sorted([*told, "ok"]) == sorted(reason.value for reason in Reason)
