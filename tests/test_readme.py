"""Every Python block of README, guide and docstrings runs as it stands, against the sandbox."""

import ast
import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import CodeType
from typing import Any

import aiohttp
import pytest
import redis.asyncio
from support.docstrings import NAMES, PUBLIC, example

from cc_async import ConstantContact, CreateContactRequest, CreateOrUpdateContactRequest, OAuth2, RateLimiter
from cc_async.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "cc_async" / "guide.md").read_text(encoding="utf-8")
COMMANDS = [
    'python -m pip install ".[cli]" && python -m cc_async demo',
    "python -m pip install nox && nox -s tests",
]


def blocks() -> Iterator[Any]:
    """Each fenced Python block outside the recipes, under the heading it stands below, and each docstring's example."""
    text = README + re.sub(r"<!-- recipes:begin -->.*<!-- recipes:end -->", "", GUIDE, flags=re.DOTALL)
    heading, number = "", 0
    pattern = r"^#+ (?P<heading>[^\n]+)$|^```python\n(?P<code>.*?)^```$"
    for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
        if match["heading"]:
            heading, number = match["heading"], 0
        else:
            number += 1
            yield pytest.param(match["code"], id=f"{heading} ({number})")
    yield from (pytest.param(example(name), id=name) for name in NAMES if example(name))


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(contacts=1_200, rate=None) as box:
        yield box


@pytest.fixture
def _pointed_at_the_sandbox(box: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the README's code, which names no address, meet the sandbox instead of the real API."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CC_ACCESS_TOKEN", box.access_token)
    for function, name, value in (
        (ConstantContact.__init__, "base_url", box.base_url),
        (OAuth2.__init__, "token_url", box.token_url),
        (OAuth2.__init__, "authorize_url", box.authorize_url),
        (OAuth2.__init__, "device_url", box.device_url),
    ):
        defaults = function.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, name, value)


async def send_browser_to(url: str) -> str:
    """What a browser does: let the person consent, and come back with a code."""
    async with aiohttp.ClientSession() as browser, browser.get(url, allow_redirects=False) as response:
        return response.headers["Location"]


def _compiled(code: str) -> CodeType:
    compiled: CodeType = compile(code, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return compiled


@pytest.mark.usefixtures("_pointed_at_the_sandbox")
@pytest.mark.parametrize("code", list(blocks()))
async def test_the_code_of_the_readme_runs_as_it_stands(
    code: str, box: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if "asyncio.run(" in code:
        await asyncio.to_thread(exec, compile(code, "README.md", "exec"), {"__name__": "__main__"})
        assert "ContactCounts(total=" in capsys.readouterr().out
        return
    kept: list[Any] = []

    async def keep(value: Any) -> None:
        kept.append(value)

    limiter = RateLimiter(rate=10_000, daily=None)
    async with ConstantContact(box.access_token, rate_limiter=limiter) as cc:
        first = await cc.contacts.list(limit=500, status="active").first()
        assert first is not None
        page = await cc.contacts.with_http_info.list(limit=500)
        oauth = OAuth2(box.client_id, client_secret=box.client_secret, refresh_token=box.refresh_token)
        names: dict[str, Any] = {
            **PUBLIC,
            "UTC": UTC,
            "auth": oauth,
            "cc": cc,
            "checkpoint": keep,
            "client_id": box.client_id,
            "client_secret": box.client_secret,
            "contact_id": first.contact_id,
            "datetime": datetime,
            "export_path": tmp_path / "contacts.csv",
            "journal": tmp_path / "import.jsonl",
            "list_id": box.store.lists[0],
            "oauth": oauth,
            "redis": redis,
            "request": CreateContactRequest(create_source="Account", last_name="Hopper"),
            "requests": [
                CreateOrUpdateContactRequest(email_address=f"n{n}@example.com", list_memberships=[box.store.lists[0]])
                for n in range(20)
            ],
            "save": keep,
            "saved_url": page.next_url,
            "send_browser_to": send_browser_to,
            "store": keep,
            "tag_id": box.store.tags[0],
            "timedelta": timedelta,
        }
        coroutine = eval(_compiled(code), names)  # noqa: S307  # the README is ours
        if inspect.iscoroutine(coroutine):
            await coroutine


def test_the_readme_names_the_two_commands() -> None:
    fenced = re.findall(r"^```sh\n(.*?)\n```$", README, re.MULTILINE | re.DOTALL)
    assert fenced == COMMANDS


def test_the_readme_can_be_read_in_five_minutes() -> None:
    assert len(README.splitlines()) < 450


@pytest.mark.parametrize("text", [README, GUIDE], ids=["readme", "guide"])
def test_links_within_the_repository_lead_somewhere(text: str) -> None:
    for path, heading in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
        near = ROOT if text is README else ROOT / "cc_async"
        assert (near / path).exists()
        linked = (near / path).read_text(encoding="utf-8") if path.endswith(".md") else text
        headings = re.findall(r"^#+ (.+)$", linked, re.MULTILINE)
        anchors = [re.sub(r"[^\w -]", "", name).lower().replace(" ", "-") for name in headings]
        assert not heading or heading in anchors


def test_the_everyday_tasks_are_numbered() -> None:
    assert re.findall(r"^### (\d+)\.", README, re.MULTILINE) == [str(number) for number in range(1, 14)]
