import re
from pathlib import Path

from campaigns.gates import GateName, Reason

PAGE = Path(__file__).parents[2] / "docs" / "decisions.md"


def test_the_page_on_decisions_lists_every_gate_in_order_and_every_reason():
    text = PAGE.read_text(encoding="utf-8")
    rows = [row.split("|")[1:4] for row in re.findall(r"^\| `.*$", text, re.MULTILINE)]
    assert [row[0].strip(" `") for row in rows] == [gate.value for gate in GateName]
    after = text.partition("has the reason `ok`")[2].partition("\n## ")[0]
    told = [name for row in rows for name in re.findall(r"`(\w+)`", row[2])]
    told += ["ok", *re.findall(r"\(`(\w+)`\)", after)]
    assert sorted(told) == sorted(reason.value for reason in Reason)
