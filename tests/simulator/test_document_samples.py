"""The Python samples of the API document, run against the simulator."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import requests

from besmart_async.simulator import Simulator

DOCUMENT = Path(__file__).parents[1] / "data" / "besmart-rest-api-0.1.5.md"
SECTION = re.compile(r'<a id="opId(?P<id>[\w.]+)"></a>(?P<text>.*?)(?=<a id="opId|# Schemas)', re.DOTALL)
ADDRESS = "https://api.besmart.energy/api"
IDS = {
    "client_cid": "12",
    "sensor_mid": "122",
    "signal_type_moid": "32",
    "sensor_state_id": "21310",
    "signal_state_id": "798649",
}


def sections() -> dict[str, str]:
    text = DOCUMENT.read_text(encoding="utf-8")
    return {match["id"]: match["text"] for match in SECTION.finditer(text)}


def sample_of(text: str) -> str:
    (sample,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return str(sample)


def statuses_of(text: str) -> set[int]:
    return {int(status) for status in re.findall(r"^\|(\d{3})\|", text, re.MULTILINE)}


def body_of(text: str) -> str | None:
    """The document's body; its single quotes are YAML and its line ends folded."""
    found = re.search(r"> Body parameter\s+```(?:json)?\n(.*?)```", text, re.DOTALL)
    return None if found is None else found[1].strip().strip("'").replace("\n", " ")


def run_sample(sample: str, base_url: str, token: str) -> requests.Response:
    code = sample.replace(ADDRESS, base_url).replace("{access-token}", token)
    names: dict[str, Any] = {"print": lambda *_: None}
    with requests.Session() as session:
        # The samples import requests and call its functions: a session stands in, so that no connection is left open.
        names["requests"] = session
        exec(code.replace("import requests", "").replace("print(r.json())", ""), names)
    answer: requests.Response = names["r"]
    return answer


@pytest.mark.parametrize("complete", [True, False], ids=["with ids and bodies", "as they stand"])
@pytest.mark.parametrize("operation_id", sections())
async def test_a_sample_gets_a_documented_status(sim: Simulator, operation_id: str, complete: bool) -> None:
    text = sections()[operation_id]
    sample, body = sample_of(text), body_of(text)
    if complete:
        for name, value in IDS.items():
            sample = sample.replace(f"{{{name}}}", value)
        if body is not None:
            sample = sample.replace("headers = headers)", f"headers = headers, data = {body!r})")
    async with sim.serve() as base_url:
        answer = await asyncio.to_thread(run_sample, sample, base_url, sim.issue_token())
    assert answer.status_code in statuses_of(text), answer.text
    if complete:
        assert answer.status_code in (200, 201), answer.text
    answer.json()
