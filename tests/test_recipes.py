"""The recipes of the guide run as they stand there."""

import ast
import asyncio
import os
import random
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp.test_utils import TestClient, TestServer
from support.redis_server import RedisServer, running
from support.sandbox_contract import until

from cc_async import ConstantContact, OAuth2, RateLimiter
from cc_async.sandbox import Sandbox

GUIDE = (Path(__file__).parent.parent / "cc_async" / "guide.md").read_text(encoding="utf-8")
RECIPES = re.search(r"<!-- recipes:begin -->(.*)<!-- recipes:end -->", GUIDE, re.DOTALL)
BLOCKS = re.findall(r"^```python\n(.*?)^```$", RECIPES[1] if RECIPES else "", re.MULTILINE | re.DOTALL)
POINTED_AT_THE_SANDBOX = """
import os, runpy, sys
from cc_async import ConstantContact, RateLimiter
from cc_async.resources.contacts import filters
defaults = ConstantContact.__init__.__kwdefaults__
defaults["base_url"] = os.environ["BASE_URL"]
defaults["rate_limiter"] = RateLimiter(rate=10_000, daily=None)
filters.LIMIT_AT_MOST = 100
del sys.argv[0]
"""
ONCE = 'runpy.run_path(sys.argv[0], run_name="__main__")'
# A fork for each line of input spares the imports; it dies as any process does.
AGAIN_AND_AGAIN = """
script = sys.argv[0]
for line in sys.stdin:
    sys.argv = [script, *line.split()]
    child = os.fork()
    if child == 0:
        runpy.run_path(script, run_name="__main__")
        break
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def recipe(name: str) -> str:
    return next(str(block) for block in BLOCKS if name in block)


class Script:
    """A recipe that runs in a process of its own against a sandbox."""

    def __init__(self, box: Sandbox, name: str, folder: Path) -> None:
        self.box, self.folder, self.path = box, folder, folder / name
        self.path.write_text(recipe(name), encoding="utf-8")

    async def start(self, *arguments: str, how: str = ONCE) -> asyncio.subprocess.Process:
        paths = {"PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONWARNINGS": "error"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE"))}
        where = {"BASE_URL": self.box.base_url, "CC_ACCESS_TOKEN": self.box.access_token}
        command = [sys.executable, "-c", POINTED_AT_THE_SANDBOX + how, str(self.path), *arguments]
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env=kept | paths | where, cwd=self.folder
        )

    async def run(self, *arguments: str) -> str:
        """Run it to its end, which must be a good one; return what it printed."""
        process = await self.start(*arguments)
        out, err = await process.communicate()
        assert (process.returncode, err.decode()) == (0, "")
        return out.decode()


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(contacts=3_000, rate=None, daily=None) as box:
        yield box


@pytest.fixture
async def small_box() -> AsyncIterator[Sandbox]:
    async with Sandbox(contacts=200, rate=None, daily=None) as box:
        yield box


def stored(path: Path) -> dict[str, tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return {row[0]: row[1:] for row in db.execute("SELECT * FROM contact")}


def truth(box: Sandbox) -> dict[str, tuple[Any, ...]]:
    rows = {}
    for contact_id in box.store.ids():
        contact = box.store.get(contact_id)
        email = contact.get("email_address") or {}
        names = (contact.get("first_name"), contact.get("last_name"), contact.get("deleted_at"))
        rows[contact_id] = (email.get("address"), email.get("permission_to_send"), *names)
    return rows


def is_alive(contact: dict[str, Any]) -> bool:
    return bool(contact.get("email_address")) and not contact.get("deleted_at")


def write(box: Sandbox, chance: random.Random) -> None:
    """Let another program create, change, delete and unsubscribe contacts."""
    ids = chance.sample(box.store.ids(), 30)
    changed, deleted, left = [one for one in ids if is_alive(box.store.get(one))][:3]
    box.store.create({"create_source": "Account", "first_name": f"New {chance.random()}"})
    box.store.put(changed, {"update_source": "Account", "first_name": f"Changed {chance.random()}"})
    box.store.delete(deleted)
    box.store.unsubscribe(left)


def test_every_recipe_is_code_that_can_be_read_at_a_glance() -> None:
    assert len(BLOCKS) == 5
    for block in BLOCKS:
        ast.parse(block)
        assert len(block.splitlines()) < 80


# The recipe with a refreshing token on the same small disk, which another program fills during the refresh.
FILLED_UP_MEANWHILE = """
from cc_async import FileTokenStore, OAuth2
from cc_async.oauth.endpoint import TokenEndpoint
auth = OAuth2(os.environ["CLIENT_ID"], client_secret=os.environ["CLIENT_SECRET"], token_url=os.environ["TOKEN_URL"],
              refresh_token=os.environ["REFRESH_TOKEN"], store=FileTokenStore("token.json"))
init, request_token = ConstantContact.__init__, TokenEndpoint.request_token
ConstantContact.__init__ = lambda cc, _, **options: init(cc, auth, **options)
ConstantContact.__init__.__kwdefaults__ = None
init.__kwdefaults__.update(base_url=os.environ["BASE_URL"], rate_limiter=RateLimiter(rate=10_000, daily=None))

def filled_up(*args):
    if os.environ.get("FILL"):
        with open("filler", "ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
    return request_token(*args)

TokenEndpoint.request_token = filled_up
"""


async def test_the_sync_needs_no_person_after_its_disk_filled_up_in_the_middle_of_a_refresh(
    small_box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, disk = small_box, tmp_path / "disk"
    (tmp_path / "scripts").mkdir()
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)]
    mount = await asyncio.create_subprocess_exec(*mounting, stderr=asyncio.subprocess.PIPE)
    _, complaint = await mount.communicate()
    if mount.returncode:
        pytest.skip(f"mounting a small disk needs a privilege that this process lacks: {complaint.decode().strip()}")
    for name in ("CLIENT_ID", "CLIENT_SECRET", "TOKEN_URL", "REFRESH_TOKEN"):
        monkeypatch.setenv(name, getattr(box, name.lower()))
    script = Script(box, "sync.py", tmp_path / "scripts")
    script.folder = disk
    try:
        for fill, reason in (("yes", b"disk is full"), ("", b"No space left"), ("", b""), ("", b"")):
            monkeypatch.setenv("FILL", fill)
            if not reason:
                (disk / "filler").unlink(missing_ok=True)
            process = await script.start("contacts.db", how=FILLED_UP_MEANWHILE + ONCE)
            _, err = await process.communicate()
            assert (process.returncode == 0) == (not reason), err.decode()
            assert reason in err
            box.oauth.expire()
        assert (box.oauth.refreshes, box.oauth.spent_token_uses) == (3, 0)
        assert stored(disk / "contacts.db") == truth(box)
    finally:
        await (await asyncio.create_subprocess_exec("umount", "-l", str(disk))).wait()


async def test_the_sync_fills_the_table_and_then_keeps_it_in_step(box: Sandbox, tmp_path: Path) -> None:
    script, path = Script(box, "sync.py", tmp_path), tmp_path / "contacts.db"
    await script.run(str(path))
    assert stored(path) == truth(box)
    read = len(box.requests)
    write(box, random.Random(1))
    await asyncio.sleep(1.1)  # the API tells its time in whole seconds, so what is of this second is for the next run
    await script.run(str(path))
    assert stored(path) == truth(box)
    assert len(box.requests) - read < read / 2
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM contact")
    await script.run("--full", str(path))
    assert stored(path) == truth(box)


async def test_the_sync_killed_at_twenty_random_moments_ends_with_the_right_table(box: Sandbox, tmp_path: Path) -> None:
    script, path = Script(box, "sync.py", tmp_path), tmp_path / "contacts.db"
    chance = random.Random(random.randrange(1 << 32))
    box.latency = 0.005
    source = await script.start(how=AGAIN_AND_AGAIN)
    assert source.stdin is not None
    assert source.stdout is not None
    kills = 0
    while kills < 20:
        write(box, chance)
        anew = chance.random() < 0.2
        # Never as many as reading all takes: only who goes on where another was killed comes to the end.
        moment = len(box.requests) + chance.randrange(8 if has_read_all(path) and not anew else 25)
        source.stdin.write(f"{'--full' if anew else ''} {path}\n".encode())
        process = int(await source.stdout.readline())
        ended = asyncio.create_task(source.stdout.readline())
        await until(lambda: len(box.requests) >= moment or ended.done())  # noqa: B023  # awaited at once
        await asyncio.sleep(chance.random() * 0.03)
        if not ended.done():
            os.kill(process, signal.SIGKILL)
        status = int(await ended)
        assert status in {0, signal.SIGKILL}
        kills += status == signal.SIGKILL
    source.stdin.close()
    _, err = await source.communicate()
    assert err == b""
    await asyncio.sleep(1.1)  # the API tells its time in whole seconds
    await script.run(str(path))
    assert stored(path) == truth(box)


def has_read_all(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as db:
        if not db.execute("SELECT name FROM sqlite_master").fetchall():
            return False
        return db.execute("SELECT 1 FROM state WHERE name = 'watermark' AND value IS NOT NULL").fetchone() is not None


@pytest.fixture
def _pointed_at_the_sandbox(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = ConstantContact.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setenv("CC_ACCESS_TOKEN", box.access_token)
    monkeypatch.setitem(defaults, "base_url", box.base_url)
    monkeypatch.setitem(defaults, "rate_limiter", RateLimiter(rate=20, daily=None))
    monkeypatch.setattr("cc_async.resources.contacts.filters.LIMIT_AT_MOST", 50)


def run_block(name: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(recipe(name), name, "exec"), names)  # noqa: S102  # the guide is ours
    return names


def pages_before_the_sign_up(box: Sandbox, since: int) -> int:
    """How many pages of the sync were sent between the visitor's request and the sign-up it led to."""
    methods = [record.method for record in box.requests[since:]]
    return methods.index("POST")


@pytest.mark.usefixtures("_pointed_at_the_sandbox")
async def test_the_handler_signs_up_ahead_of_the_sync(box: Sandbox) -> None:
    app = run_block("web.py, with aiohttp")["app"]
    async with TestClient(TestServer(app)) as visitor:
        for number in range(3):
            await until(lambda: len(box.requests) >= 10 * (number + 1))  # noqa: B023  # awaited at once
            since = len(box.requests)
            form = {"email": f"n{number}@example.com", "list_id": box.store.lists[0]}
            async with visitor.post("/sign-up", data=form) as response:
                assert response.status == 200
                told = await response.json()
            assert told["action"] == "created"
            assert box.store.get(told["contact_id"])["email_address"]["address"] == form["email"]
            assert pages_before_the_sign_up(box, since) <= 3
        async with visitor.post("/sign-up", data={"email": "x@example.com", "list_id": "none"}) as response:
            told = await response.json()
            assert (response.status, told) == (502, {"problem": "BadRequestError", "maybe_done": False})
        assert sum(record.method == "GET" for record in box.requests) < 60, "the sync is to be still at it"


@pytest.mark.usefixtures("_pointed_at_the_sandbox")
async def test_the_lifespan_shares_one_client_and_ends_the_sync(box: Sandbox) -> None:
    names = run_block("def lifespan(app)")
    async with names["lifespan"](object()):
        await until(lambda: len(box.requests) >= 5)
        since = len(box.requests)
        result = await names["sign_up"]("a@example.com", box.store.lists[0])
        assert result["action"] == "created"
        assert pages_before_the_sign_up(box, since) <= 3
    assert names["shared"]["cc"].closed
    assert not [task for task in asyncio.all_tasks() if "coro=<sync()" in repr(task)]


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    yield from running(tmp_path / "redis")


@pytest.mark.usefixtures("_pointed_at_the_sandbox")
async def test_the_workers_share_one_limit_and_refresh_one_token(
    small_box: Sandbox, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fastapi = pytest.importorskip("fastapi", reason="the recipe is for FastAPI")
    for function, default, value in (
        (OAuth2.__init__, "token_url", small_box.token_url),
        (ConstantContact.__init__, "base_url", small_box.base_url),
    ):
        assert function.__kwdefaults__ is not None
        monkeypatch.setitem(function.__kwdefaults__, default, value)
    for name in ("CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN"):
        monkeypatch.setenv(f"CC_{name}", getattr(small_box, name.lower()))
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    workers = [run_block("workers.py")["app"] for _ in range(2)]
    assert all(isinstance(worker, fastapi.FastAPI) for worker in workers)
    async with AsyncExitStack() as stack:
        for worker in workers:
            await stack.enter_async_context(worker.router.lifespan_context(worker))
        clients = [
            await stack.enter_async_context(
                httpx.AsyncClient(transport=httpx.ASGITransport(worker), base_url="http://worker")
            )
            for worker in workers
        ]
        counts = await asyncio.gather(*(client.get("/contacts/count") for client in clients for _ in range(3)))
        assert {response.status_code for response in counts} == {200}
        assert len({response.json()["total"] for response in counts}) == 1
        assert min(worker.state.cc.rate_limiter.remaining_today for worker in workers) == 10_000 - 6
    assert small_box.oauth.refreshes == 1


async def test_everyone_in_a_list_is_given_the_tag_once(small_box: Sandbox, tmp_path: Path) -> None:
    box = small_box
    script, store = Script(box, "tag_list.py", tmp_path), box.store

    def members() -> dict[str, list[str]]:
        contacts = map(store.get, store.ids())
        inside = [one for one in contacts if store.lists[2] in one["list_memberships"] and not one.get("deleted_at")]
        return {one["contact_id"]: one["taggings"] for one in inside}

    before = members()
    assert before
    assert await script.run("List 3", "Autumn") == "The job is completed.\n"
    tag = next(tag for tag, name in store.tag_names.items() if name == "Autumn")
    after = {contact_id: [*tags, tag] for contact_id, tags in before.items()}
    assert members() == after
    assert await script.run("List 3", "Autumn") == "The job is completed.\n"
    assert members() == after
    assert not [record for record in box.requests if record.path.startswith("/v3/contacts")]


async def test_a_list_that_is_not_there_is_named(small_box: Sandbox, tmp_path: Path) -> None:
    process = await Script(small_box, "tag_list.py", tmp_path).start("List 99", "Autumn")
    _, err = await process.communicate()
    assert (process.returncode, err) == (1, b"There is no list 'List 99'.\n")
