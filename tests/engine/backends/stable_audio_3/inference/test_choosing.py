"""Which checkpoint a prompt gets."""

import pytest

from reapaint_engine.backends.stable_audio_3.checkpoint.catalog import MODELS, ModelKind
from reapaint_engine.backends.stable_audio_3.device.placement import DevicePlan
from reapaint_engine.backends.stable_audio_3.inference.choosing import choose, classify_prompt

MUSIC = """
lofi hip hop beat with vinyl crackle
warm analog synth pad in C minor
acoustic guitar strumming
120 BPM techno kick
drum and bass, dark and fast
orchestral hit
a jazz trio: piano, bass and brushes
string quartet
guitar in the rain
heavy metal riff
music box, slow
organ music in a church
drum loop
trumpet solo over a slow groove
upbeat song about the ocean
female choir singing softly
music with birds in the background
ambient drone
snare roll
rock band playing live
piano, no rain or thunder
"""

EFFECTS = """
rain on a tin roof
footsteps on gravel
a dog barking in the distance
door slamming shut
thunder over the sea
whoosh
glass shattering
car horn
heart beat, close
metal gate creaking
city street ambience
room tone of an office
church bells
wind chimes
guitar string snapping and creaking
foley of a drum being moved
keyboard typing
police sirens passing by
waves breaking, seagulls
falling rocks
a field recording of a band far away
applause, cheering crowd
clock ticking without music
sound effect of a piano falling down the stairs
rain in the forest, no music
laser zap, sci-fi
a baby crying
creepy whispering voice
male speech
horses galloping
"""


@pytest.mark.parametrize("prompt", MUSIC.strip().splitlines())
def test_wording_of_music(prompt: str) -> None:
    assert classify_prompt(prompt).kind is ModelKind.MUSIC


@pytest.mark.parametrize("prompt", EFFECTS.strip().splitlines())
def test_wording_of_sound_effects(prompt: str) -> None:
    heard = classify_prompt(prompt)
    assert heard.kind is ModelKind.SOUND_EFFECTS
    assert heard.words


@pytest.mark.parametrize("prompt", ["", "  ", "something brighter", "雨", "no music"])
def test_without_a_word_that_says_so_it_is_a_sound(prompt: str) -> None:
    heard = classify_prompt(prompt)
    assert (heard.kind, heard.words) == (ModelKind.SOUND_EFFECTS, ())


def test_at_a_tie_the_first_is_the_subject() -> None:
    assert classify_prompt("rain, guitar").kind is ModelKind.SOUND_EFFECTS
    assert classify_prompt("guitar, rain").kind is ModelKind.MUSIC


def _plan(device: str = "cpu", *, fits: bool = True) -> DevicePlan:
    return DevicePlan(device, "float32", "float32", device, f"On {device}.", fits=fits)


ALL = tuple(model.name for model in MODELS)


@pytest.mark.parametrize(
    ("installed", "device", "prompt", "chosen"),
    [
        (ALL, "cuda:0", "rain", "medium"),
        (ALL, "mps", "piano", "medium"),
        (ALL, "cpu", "rain", "small-sfx"),
        (ALL, "cpu", "piano", "small-music"),
        (ALL, "cpu", "", "small-sfx"),
        (("small-music",), "cuda:0", "rain", "small-music"),
        (("small-sfx",), "cpu", "piano", "small-sfx"),
        (("small-music", "small-sfx"), "cuda:0", "rain", "small-sfx"),
        (("medium", "small-sfx"), "cpu", "piano", "small-sfx"),
        (("medium",), "cpu", "piano", "medium"),
        (("medium", "medium-base"), "cuda:0", "piano", "medium"),
        (("medium-base", "small-sfx-base"), "cuda:0", "piano", None),
        ((), "cuda:0", "piano", None),
    ],
)
def test_the_choice(
    installed: tuple[str, ...], device: str, prompt: str, chosen: str | None
) -> None:
    choice = choose(prompt, {name: _plan(device) for name in installed})
    assert choice.name == chosen
    assert choice.reason.endswith(".")
    assert (choice.plan is None) is (chosen is None)


def test_what_does_not_fit_is_passed_over() -> None:
    plans = {name: _plan("cuda:0") for name in ALL}
    plans["medium"] = _plan("cuda:0", fits=False)
    assert choose("thunder", plans).name == "small-sfx"
    plans["small-sfx"] = _plan("cuda:0", fits=False)
    assert choose("thunder", plans).name == "small-music"
    assert choose("thunder", {name: _plan(fits=False) for name in ALL}).name is None


def test_the_choice_says_why_and_how_to_overrule_it() -> None:
    choice = choose("footsteps in the rain", {name: _plan() for name in ALL})
    assert choice.reason == (
        'small-sfx, for "footsteps" and "rain" speak of sound effects; --model names another.'
    )
    assert "models get" in choose("", {}).reason
    assert "--model" in choose("", {"medium-base": _plan()}).reason
