"""A headless Chromium, driven by the DevTools protocol over a pipe: as a person would use it."""

import contextlib
import itertools
import json
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT_S = 30.0
_ENDED: dict[str, Any] = {}
_CODES = {
    " ": ("Space", 32),
    "[": ("BracketLeft", 219),
    "]": ("BracketRight", 221),
    "Enter": ("Enter", 13),
    "Escape": ("Escape", 27),
    "Tab": ("Tab", 9),
    "Home": ("Home", 36),
    "End": ("End", 35),
    "PageUp": ("PageUp", 33),
    "PageDown": ("PageDown", 34),
    "ArrowLeft": ("ArrowLeft", 37),
    "ArrowUp": ("ArrowUp", 38),
    "ArrowRight": ("ArrowRight", 39),
    "ArrowDown": ("ArrowDown", 40),
}
ALT, CONTROL, SHIFT = 1, 2, 8


def find_chromium() -> str | None:
    """Return where a Chromium is; ``CHROMIUM`` names one that is elsewhere."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One page of one browser. What it complains of, and asks the network for, is kept."""

    def __init__(self, to_browser: int, from_browser: int, session: str = "") -> None:
        self._to = to_browser
        self._numbers = itertools.count(1)
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._session = session
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.downloads: dict[str, str] = {}
        self._downloaded = threading.Event()
        self._from = from_browser
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Let go of the browser, which ends by that."""
        with contextlib.suppress(OSError):
            os.close(self._to)
        self._reader.join(TIMEOUT_S)
        os.close(self._from)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its answer."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        answer = self._answers.get(timeout=TIMEOUT_S)
        assert answer is not _ENDED, "the browser ended"
        assert answer.get("id") == number, answer
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def attach(self, downloads: Path) -> None:
        """Open a tab and listen to what happens in it."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.ask(
            "Browser.setDownloadBehavior",
            behavior="allow",
            downloadPath=str(downloads),
            eventsEnabled=True,
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "Accessibility"):
            self.ask(f"{domain}.enable")

    def open(self, url: str) -> None:
        """Go to an address; the page is there when its scripts have run."""
        self.ask("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def run(self, expression: str) -> Any:
        """Return what an expression gives in the page; a promise is waited for."""
        answer = self.ask(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str, timeout_s: float = TIMEOUT_S) -> Any:
        """Return an expression's value as soon as it is true."""
        waiting = f"""new Promise((resolve, reject) => {{
            const end = performance.now() + {timeout_s * 1000 - 1000};
            const look = () => {{
                const value = {condition};
                if (value) resolve(value);
                else if (performance.now() > end) reject(new Error("it never came true"));
                else setTimeout(look, 10);
            }};
            look();
        }})"""
        return self.run(waiting)

    # What people do

    def choose_file(self, selector: str, path: Path) -> None:
        """Choose a file in an input, as the system's dialog would."""
        self.ask("DOM.setFileInputFiles", files=[str(path)], **self._object(selector))

    def drop_file(self, x: float, y: float, path: Path) -> None:
        """Drop a file on the page."""
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.ask("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def press(self, key: str, modifiers: int = 0) -> None:
        """Press and release a key."""
        code, number = _CODES.get(key) or (f"Key{key.upper()}", ord(key.upper()))
        if key.isdigit():
            code = f"Digit{key}"
        text = "\r" if key == "Enter" else key if len(key) == 1 else ""
        event = {
            "key": key,
            "code": code,
            "windowsVirtualKeyCode": number,
            "modifiers": modifiers,
        }
        typed = {"text": text} if text and not modifiers & CONTROL else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **event, **typed)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text: str) -> None:
        """Type into what has the focus, in place of what is there."""
        self.run("document.activeElement.select?.()")
        self.ask("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Press the mouse on the middle of an element."""
        self.run(f"{_find(selector)}.scrollIntoView({{block: 'center'}})")
        x, y, width, height = self.box(selector)
        self.drag((x + width / 2, y + height / 2))

    def drag(self, *points: tuple[float, float]) -> None:
        """Press the mouse at the first point, and let go of it at the last."""
        for number, (x, y) in enumerate(points):
            self._mouse("mouseMoved", x, y, held=number > 0)
            if number == 0:
                self._mouse("mousePressed", x, y, held=True)
        self._mouse("mouseReleased", *points[-1], held=False)

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Return the left, top, width and height of an element on the screen."""
        x, y, width, height = self.run(
            f"(({{x, y, width, height}}) => [x, y, width, height])"
            f"({_find(selector)}.getBoundingClientRect())"
        )
        return x, y, width, height

    def wait_for_download(self) -> Path:
        """Return the name of the next file that was downloaded whole."""
        assert self._downloaded.wait(TIMEOUT_S), "nothing was downloaded"
        self._downloaded.clear()
        return Path(list(self.downloads.values())[-1])

    def tree(self) -> list[dict[str, Any]]:
        """Return what assistive technology is told, without what it is not."""
        nodes = self.ask("Accessibility.getFullAXTree")["nodes"]
        return [node for node in nodes if not node.get("ignored")]

    def _mouse(self, kind: str, x: float, y: float, *, held: bool) -> None:
        self.ask(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y,
            button="left" if held or kind != "mouseMoved" else "none",
            buttons=int(held),
            clickCount=int(kind != "mouseMoved"),
        )

    def _object(self, selector: str) -> dict[str, Any]:
        found = self.ask("Runtime.evaluate", expression=_find(selector))
        return {"objectId": found["result"]["objectId"]}

    # What the browser says

    def _read(self) -> None:
        held = b""
        while chunk := os.read(self._from, 1 << 16):
            *messages, held = (held + chunk).split(b"\0")
            for each in messages:
                self._hear(json.loads(each))
        self._answers.put(_ENDED)

    def _hear(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._answers.put(message)
            return
        said = message.get("params", {})
        match message["method"]:
            case "Runtime.consoleAPICalled" if said["type"] in ("error", "warning", "assert"):
                self.complaints.append(json.dumps(said["args"]))
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(said["exceptionDetails"]))
            case "Log.entryAdded" if said["entry"]["level"] in ("error", "warning"):
                self.complaints.append(said["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(said["request"]["url"])
            case "Browser.downloadWillBegin":
                self.downloads[said["guid"]] = said["suggestedFilename"]
            case "Browser.downloadProgress" if said["state"] == "completed":
                self._downloaded.set()


@contextlib.contextmanager
def chromium(program: str, folder: Path, downloads: Path) -> Iterator[Page]:
    """Run a browser of its own, without a network but this machine's own."""
    to_browser, from_us = os.pipe()[::-1], os.pipe()
    commands_in, commands_out = from_us
    answers_out, answers_in = to_browser
    # Its commands come on descriptor 3 and its answers go to 4, wherever ours are.
    shell = f'exec "$0" "$@" 3<&{commands_in} 4>&{answers_out}'
    process = subprocess.Popen(
        [
            *("bash", "-c", shell, program),
            "--headless=new",
            "--remote-debugging-pipe",
            "--no-sandbox",
            "--no-first-run",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--mute-audio",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--window-size=1200,1000",
            f"--user-data-dir={folder}",
            "about:blank",
        ],
        pass_fds=(commands_in, answers_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
    )
    os.close(commands_in)
    os.close(answers_out)
    page = Page(commands_out, answers_in)
    try:
        page.attach(downloads)
        yield page
    finally:
        page.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(is_true: Any, timeout_s: float = TIMEOUT_S) -> None:
    """Wait for something outside the page."""
    deadline_s = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline_s, "it never came true"
        threading.Event().wait(0.01)


def _find(selector: str) -> str:
    """Return the expression for an element; ``>>>`` leads into a shadow tree."""
    outer, *inner = selector.split(">>>")
    found = f"document.querySelector({json.dumps(outer.strip())})"
    for each in inner:
        found += f".shadowRoot.querySelector({json.dumps(each.strip())})"
    return found
