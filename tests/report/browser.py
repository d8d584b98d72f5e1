"""Headless Chromium over its DevTools protocol: what a file logs, asks for and looks like."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
SECONDS = 30.0


@dataclass
class Page:
    """What came of opening one page."""

    logged: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


class Tab:
    """One tab and its protocol connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.page = Page()
        self.loaded = asyncio.Event()

    async def listen(self) -> None:
        async for message in self._socket:
            event = message.json()
            if "id" in event:
                self._waiting.pop(event["id"]).set_result(event)
                continue
            self._heard(event["method"], event["params"])

    def _heard(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self.loaded.set()
        elif method == "Log.entryAdded":
            self.page.logged.append(f"{params['entry']['level']}: {params['entry']['text']}")
        elif method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            self.page.logged.append(f"{method}: {params}")
        elif method == "Network.requestWillBeSent":
            self.page.requests.append(params["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.page.dialogs.append(params["message"])

    async def call(self, method: str, **params: Any) -> Any:
        number = next(self._ids)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async with asyncio.timeout(SECONDS):
            answer = await self._waiting[number]
        assert "error" not in answer, answer
        return answer["result"]

    async def open(self, file: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> Page:
        """Load a file at a width in CSS pixels, all its `details` opened by hand."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", features=scheme)
        phone = width < 700
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        self.page = Page()
        self.loaded.clear()
        await self.call("Page.navigate", url=file.resolve().as_uri())
        async with asyncio.timeout(SECONDS):
            await self.loaded.wait()
        return self.page

    async def evaluate(self, expression: str) -> Any:
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return found["result"].get("value")

    async def screenshot(self, to: Path, *, whole: bool = True) -> Path:
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=whole, format="png")
        to.write_bytes(base64.b64decode(shot["data"]))
        return to


@contextlib.asynccontextmanager
async def tab() -> AsyncIterator[Tab]:
    """A browser of its own with one tab, gone at the end."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = await asyncio.create_subprocess_exec(
            CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank", stderr=asyncio.subprocess.PIPE
        )
        try:
            address = await _address(browser)
            async with aiohttp.ClientSession() as session:
                base = address.split("/devtools")[0].replace("ws://", "http://")
                async with session.get(f"{base}/json") as answer:
                    target = next(t for t in await answer.json() if t["type"] == "page")
                async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    one = Tab(socket)
                    listener = asyncio.create_task(one.listen())
                    for domain in ("Page", "Log", "Runtime", "Network"):
                        await one.call(f"{domain}.enable")
                    yield one
                    listener.cancel()
        finally:
            with contextlib.suppress(ProcessLookupError):
                browser.kill()
            await browser.wait()


async def _address(browser: asyncio.subprocess.Process) -> str:
    """Where the browser listens, from what it says on stderr."""
    assert browser.stderr is not None
    async with asyncio.timeout(SECONDS):
        while line := (await browser.stderr.readline()).decode(errors="replace"):
            if "DevTools listening on " in line:
                return line.partition("listening on ")[2].strip()
    raise AssertionError("chromium ended before it listened")


async def _shots(file: Path, folder: Path) -> None:
    async with tab() as one:
        for name, width, dark in (("phone", 390, False), ("desktop", 1280, False), ("phone-dark", 390, True)):
            page = await one.open(file, width=width, dark=dark)
            await one.evaluate("document.querySelectorAll('details.rollout').forEach(d => d.open = true)")
            wide = await one.evaluate("document.documentElement.scrollWidth")
            await one.screenshot(folder / f"{file.stem}-{name}.png")
            print(name, "scrollWidth", wide, page)  # noqa: T201 - a tool for people who change the page


if __name__ == "__main__":
    asyncio.run(_shots(Path(sys.argv[1]), Path(sys.argv[2])))
