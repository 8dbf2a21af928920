"""The gfx window and the modal windows: what is shown, and what the user answers."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.reaper_sim.script import Script
    from tests.reaper_sim.simulator import Reaper

Answer = Sequence[str] | dict[str, str] | None
MAX_FIELDS = 16
CANCELLED = None


@dataclass(frozen=True)
class Dialog:
    """A modal window as it was shown."""

    kind: str
    """inputs, box, task control, file, error."""
    title: str
    text: str = ""
    captions: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    buttons: int = 0


@dataclass
class _Planned:
    answer: Any
    after_s: float
    meanwhile: Callable[[], None] | None


class Dialogs:
    """Modal windows: each needs an answer that the test prepared, and stops every defer."""

    def __init__(self, sim: "Reaper") -> None:
        self._sim = sim
        self._planned: dict[str, deque[_Planned]] = {}
        self.shown: list[Dialog] = []
        self.is_open = False
        self.box_default: int | None = 1
        """What message boxes are answered with when nothing was planned; None fails."""

    def plan(
        self, kind: str, answer: Any, *, after_s: float, meanwhile: Callable[[], None] | None
    ) -> None:
        """Prepare the answer to the next window of a kind."""
        self._planned.setdefault(kind, deque()).append(_Planned(answer, after_s, meanwhile))

    def show(self, dialog: Dialog, script: "Script") -> Any:
        """Show a window and return what the user answers."""
        self.shown.append(dialog)
        queue = self._planned.get(dialog.kind)
        if not queue:
            if dialog.kind == "box" and self.box_default is not None:
                return self.box_default
            raise self._sim.fail(f"nobody expected the {dialog.kind} window {dialog}", script)
        planned = queue.popleft()
        self._sim.now += planned.after_s
        self.is_open = True
        try:
            if planned.meanwhile is not None:
                planned.meanwhile()
        finally:
            self.is_open = False
        return planned.answer(dialog) if callable(planned.answer) else planned.answer

    @property
    def unused(self) -> list[str]:
        """Answers that no window asked for."""
        return [kind for kind, queue in self._planned.items() for _ in queue]

    def user_inputs(
        self, title: str, count: int, captions: str, values: str, script: "Script"
    ) -> tuple[bool, str]:
        """Show a GetUserInputs window."""
        if not 1 <= count <= MAX_FIELDS:
            raise self._sim.fail(f"GetUserInputs with {count} fields; 1 to 16 are possible", script)
        names, separator = self._captions(captions, count, script)
        defaults = tuple(values.split(separator)) if values else ()
        if len(defaults) > count:
            self._sim.blame(
                f"{len(defaults)} default values for {count} fields: one holds {separator!r}",
                script,
            )
        defaults = (defaults + ("",) * count)[:count]
        answer = self.show(Dialog("inputs", title, "", names, defaults), script)
        if answer is CANCELLED:
            return False, values
        if isinstance(answer, dict):
            strange = set(answer) - set(names)
            if strange:
                raise self._sim.fail(f"no field {strange} among {names}", script)
            answer = [answer.get(name, old) for name, old in zip(names, defaults, strict=True)]
        texts = [*map(str, answer)]
        texts += defaults[len(texts) :]
        assert not any("\n" in text for text in texts), "a field has one line"
        return True, separator.join(texts[:count])

    def _captions(self, captions: str, count: int, script: "Script") -> tuple[tuple[str, ...], str]:
        parts = captions.split(",")
        names, extras = parts[:count], parts[count:]
        if len(names) < count:
            self._sim.blame(f"{count} fields but the captions {names}", script)
            names += [""] * (count - len(names))
        separator = ","
        for extra in extras:
            if extra.startswith("separator="):
                separator = extra.removeprefix("separator=")[:1]
            elif not extra.startswith("extrawidth="):
                self._sim.blame(f"a caption too many, or with a comma in it: {extra!r}", script)
        return tuple(name.removeprefix("*") for name in names), separator


@dataclass
class Window:
    """The script window that ``gfx`` draws into."""

    sim: "Reaper"
    is_open: bool = False
    title: str = ""
    size: tuple[float, float] = (0.0, 0.0)
    opened: int = 0
    """How often a window was opened: each may take the focus."""
    texts: list[str] = field(default_factory=list)
    """What is written in the window since it was last updated."""
    shown: list[str] = field(default_factory=list)
    """What the window showed when it was last updated."""
    keys: deque[int] = field(default_factory=deque)
    mouse: tuple[float, float, int] = (0.0, 0.0, 0)
    """x, y and buttons."""
    menu_answers: deque[int] = field(default_factory=deque)
    menus: list[str] = field(default_factory=list)

    def close(self) -> None:
        """Close the window as a user would."""
        self.keys.append(-1)

    def value(self, name: str) -> float:
        """Return a number that the window or the mouse sets."""
        numbers = dict(zip(("mouse_x", "mouse_y", "mouse_cap"), self.mouse, strict=True))
        numbers["w"], numbers["h"] = self.size
        return numbers[name]

    def function(self, script: "Script", name: str) -> Callable[..., Any]:
        """Return a function of gfx; those that only draw do nothing."""
        method = getattr(self, f"_{name}", None)

        def call(*arguments: Any) -> tuple[Any, ...]:
            with script.account:
                result = method(*arguments) if method else 0.0
                return (True, *result) if isinstance(result, tuple) else (True, result)

        return call

    def _init(self, title: bytes = b"", width: float = 0, height: float = 0, *_: Any) -> float:
        if title and not self.is_open:
            self.is_open, self.opened = True, self.opened + 1
        if title:
            self.title, self.size = title.decode(), (float(width), float(height))
        return 1.0

    def _quit(self) -> float:
        self.is_open = False
        return 0.0

    def _update(self) -> float:
        self.shown, self.texts = self.texts, []
        return 0.0

    def _getchar(self, *_: Any) -> int:
        if not self.is_open:
            return -1
        key = self.keys.popleft() if self.keys else 0
        if key == -1:
            self.is_open = False
        return key

    def _drawstr(self, text: bytes, *_: Any) -> float:
        self.texts.append(text.decode())
        return 0.0

    def _measurestr(self, text: bytes) -> tuple[float, float]:
        return 7.0 * len(text.decode()), 14.0

    def _dock(self, *_: Any) -> float:
        return 0.0

    def _showmenu(self, text: bytes) -> int:
        self.menus.append(text.decode())
        if not self.menu_answers:
            raise self.sim.fail(f"nobody expected the menu {text!r}", None)
        return self.menu_answers.popleft()
