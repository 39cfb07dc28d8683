"""The README's session, pasted as it stands into a shell beside a running demo."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import httpx2
import pytest

from tests.service.process import chaland

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.skipif(not shutil.which("curl"), reason="the session needs curl")
def test_the_session_works_when_pasted(tmp_path: Path):
    [session] = re.findall(
        r"<!-- session -->\n```sh\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL
    )
    with chaland("demo", data_dir=tmp_path, CHALAND_DATA_DIR="", CHALAND_ADMIN_KEY="") as served:
        phone = served.process.stdout.readline().split()[-1]
        run = subprocess.run(
            ["bash", "-c", session],
            cwd=tmp_path,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "URL": served.url, "PHONE": phone},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        shown = httpx2.get(phone).text
        link = served.process.stdout.readline().split()[-1]
        with httpx2.Client(follow_redirects=True) as browser:
            assert "has printed a link" in browser.get(served.url).text
            browser.get(link).raise_for_status()
            assert "Refused, and why" in browser.get(served.url).text
    answers = [line for line in run.stdout.splitlines() if line.strip()]
    objects = [json.loads(line) for line in answers if line.startswith("{")]
    problems = [each for each in objects if each.get("status", 200) != 200 and "detail" in each]
    assert problems == []
    [message] = next(each["items"] for each in objects if "items" in each)
    assert (message["subject"], message["text"]) == ("zoe", "Zoe, a warm croissant at Corner bakery?")
    assert message["state"] in {"sent", "delivered"}
    assert message["text"] in shown
    assert ">STOP<" in shown
    assert any("<Response>" in line for line in answers)
    [decision] = objects[-1]["items"]
    assert (decision["outcome"], decision["reason"]) == ("refused", "consent_withdrawn")
    assert {"gate", "verdict", "input"} == set(decision["gates"][0])
