"""Which checkpoint a prompt is for, of those that are here and fit the device."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reapaint_engine.backends.stable_audio_3.checkpoint.catalog import MODELS, Model, ModelKind
from reapaint_engine.backends.stable_audio_3.device.placement import DevicePlan

OVERRULE_HINT = "--model names another."

MUSIC, EFFECTS = ModelKind.MUSIC, ModelKind.SOUND_EFFECTS

_MUSIC = {
    4: """
        music, musical, song, drum and bass, hip hop, bpm
    """,
    2: """
        melody, chord, riff, groove, beat, tempo, arpeggio, bassline, instrumental, soundtrack,
        jingle, verse, chorus, solo, remix, in major, in minor, a cappella, acapella, ambient,
        bebop, blues, bluegrass, bossa nova, classical, death metal, deep house, disco, drone,
        dub, dubstep, edm, electronica, flamenco, funk, gospel, grunge, hard rock, heavy metal,
        indie, jazz, lofi, lo fi, orchestra, orchestral, ragtime, rap, reggae, rock band, salsa,
        samba, shoegaze, soul, symphony, synthwave, tango, techno, trance, trip hop, vaporwave,
        waltz, french horn, english horn, music box, steel drum, wind instrument, choir, major,
        minor, sing, singer
    """,
    1: """
        accordion, bagpipe, band, banjo, bass, bassoon, bongo, brass, cello, chime, clarinet,
        conga, cymbal, didgeridoo, drum, fiddle, flute, glockenspiel, guitar, harmonica, harp,
        harpsichord, hi hat, hihat, kalimba, kick, loop, mandolin, marimba, oboe, organ, pad,
        percussion, piano, pop, punk, rhodes, rock, saxophone, sax, sitar, snare,
        string, strum, synth, synthesizer, tabla, tambourine, timpani, tom, trombone, trumpet,
        tuba, ukulele, vibraphone, viola, violin, vocal, xylophone
    """,
}
_EFFECTS = {
    4: """
        sound effect, sfx, foley, field recording, soundscape, ambience, ambiance, room tone,
        background noise
    """,
    2: """
        whoosh, swoosh, swish, thud, thump, squeak, creak, crunch, crackle, sizzle, rustle,
        rumble, clank, clatter, clang, clink, splash, splatter, drip, gurgle, hiss, buzz, whirr,
        whir, squelch, slam, smash, shatter, scrape, slosh, footstep, explosion, explode,
        gunshot, gunfire, applause, heartbeat, heart beat, car horn, fog horn, foghorn, air horn,
        house key, car key, metal door, metal gate, metal pipe, metal impact, falling rock,
        rock fall, record scratch
    """,
    1: """
        airplane, alarm, animal, baby, bark, bee, beep, bell, bird, boat, breath, bubble, bullet,
        cafe, car, cat, chain, chainsaw, cheer, chew, chirp, clap, click, clock, cough, cow,
        creature, cricket, crow, crowd, cry, cutlery, dog, door, drill, drop, duck, earthquake,
        elevator, engine, factory, fan, fire, firework, forest, fridge, frog, gate, ghost, glass,
        gravel, growl, gun, hail, hammer, helicopter, horse, howl, hum, ice, impact, insect, jet,
        kettle, keyboard typing, kitchen, knife, knock, laser, laugh, laughter, leaf, leaves,
        machine, meow, microwave, monster, motor, motorcycle, mud, murmur, notification, ocean,
        office, owl, paper, printer, radio, rain, rattle, restaurant, ringtone, river, roar,
        robot, rocket, sand, saw, scream, sea, seagull, sheep, ship, shop, shotgun, siren, snap,
        sneeze, snore, snow, spaceship, speak, speech, static, steam, storm, stream, street, surf,
        sword, talk, telephone, thunder, thunderstorm, tick, tire, toilet, tool, traffic, train,
        tree, truck, typing, vehicle, vinyl, voice over, walk, water, waterfall, wave, whale,
        whisper, whistle, wind, window, wolf, wood, zipper
    """,
}
"""Words and what each counts; those that mean both, such as "house", are in no list."""

_WORD = re.compile(r"[a-z]+")
_UNWANTED = re.compile(r"\b(?:no|not|without)\s+(?:any\s+)?[a-z]+(?:\s+(?:or|nor)\s+[a-z]+)*")
_MAX_PHRASE_WORDS = 3


@dataclass(frozen=True, slots=True)
class Choice:
    """What to fill with, and why; without a ``name`` no checkpoint will do.

    ``plan`` has its own reason.
    """

    name: str | None
    reason: str
    plan: DevicePlan | None = None


@dataclass(frozen=True, slots=True)
class PromptClass:
    """What a prompt asks for; ``words`` are those that decided it, if any did."""

    kind: ModelKind
    words: tuple[str, ...]


def choose(prompt: str, plans: Mapping[str, DevicePlan]) -> Choice:
    """Choose the best checkpoint that is here and fits, for a request that names none.

    Parameters
    ----------
    prompt
        What the new audio should be; may be empty.
    plans
        Where each checkpoint that is installed would run, by its name.

    Returns
    -------
    Choice
        On a GPU medium, then the small one the wording speaks for, then the other; on a
        CPU the small ones first. Never a base checkpoint: those are slow, and for who
        asks for them. Without a name where none is left.
    """
    prompt_class = classify_prompt(prompt)
    here = [model for model in MODELS if model.name in plans]
    able = [model for model in here if not model.is_base and plans[model.name].fits]
    if not able:
        return Choice(None, _why_none(here, plans))
    best = min(able, key=lambda model: _rank(model, prompt_class.kind, plans[model.name]))
    return Choice(best.name, _why(best, prompt_class, plans[best.name]), plans[best.name])


def classify_prompt(prompt: str) -> PromptClass:
    """Tell whether a prompt asks for music or for a sound effect.

    Words count by how much they say. At a tie, what is named first is the subject:
    "rain on a guitar", "guitar in the rain". Without any such word it is a
    sound effect: that is what a stretch of a recording is mostly filled with.
    """
    found = list(_known_words(_UNWANTED.sub(" ", prompt.lower().replace("-", " "))))
    scores = {kind: sum(w for _, k, w in found if k is kind) for kind in (MUSIC, EFFECTS)}
    if not found:
        return PromptClass(EFFECTS, ())
    is_tie = scores[MUSIC] == scores[EFFECTS]
    kind = found[0][1] if is_tie else max(scores, key=lambda each: scores[each])
    return PromptClass(kind, tuple(dict.fromkeys(word for word, k, _ in found if k is kind)))


# Wording


def _list_phrases() -> dict[str, tuple[ModelKind, int]]:
    return {
        phrase.strip(): (kind, weight)
        for kind, lists in ((MUSIC, _MUSIC), (EFFECTS, _EFFECTS))
        for weight, text in lists.items()
        for phrase in " ".join(text.split()).split(",")
    }


_PHRASES = _list_phrases()


def _known_words(text: str) -> Iterator[tuple[str, ModelKind, int]]:
    """Yield each listed phrase of a text in order, the longest that begins at a word."""
    words = _WORD.findall(text)
    at = 0
    while at < len(words):
        for length in range(min(_MAX_PHRASE_WORDS, len(words) - at), 0, -1):
            phrase = words[at : at + length]
            listed = next((form for form in _forms(phrase) if form in _PHRASES), None)
            if listed is not None:
                yield " ".join(phrase), *_PHRASES[listed]
                at += length
                break
        else:
            at += 1


def _forms(phrase: list[str]) -> Iterator[str]:
    """Yield a phrase, and it with its last word as if it were no plural or inflection."""
    *before, last = phrase
    endings = [last]
    for suffix in ("s", "es", "ing", "ed", "y", "er"):
        stem = last.removesuffix(suffix)
        if stem != last and len(stem) > 2:
            endings += [stem, stem + "e"]
            endings += [stem[:-1]] if stem[-1] == stem[-2] else []
    return (" ".join([*before, ending]) for ending in endings)


# Rank and reason


def _rank(model: Model, kind: ModelKind, plan: DevicePlan) -> int:
    if model.kind is ModelKind.BOTH:
        return 0 if plan.is_gpu else 3
    return 1 if model.kind is kind else 2


def _why(model: Model, prompt_class: PromptClass, plan: DevicePlan) -> str:
    if model.kind is ModelKind.BOTH:
        why = "it makes music and sound effects" if plan.is_gpu else "it is the one that is here"
    elif model.kind is prompt_class.kind:
        why = _why_kind(prompt_class)
    else:
        why = f"of those that are here it comes closest to {prompt_class.kind.value}"
    return f"{model.name}, for {why}; {OVERRULE_HINT}"


def _why_kind(prompt_class: PromptClass) -> str:
    if prompt_class.words:
        quoted = " and ".join(f'"{word}"' for word in prompt_class.words[:2])
        verb = "speak" if len(prompt_class.words) > 1 else "speaks"
        return f"{quoted} {verb} of {prompt_class.kind.value}"
    return "the prompt does not speak of music"


def _why_none(here: list[Model], plans: Mapping[str, DevicePlan]) -> str:
    if not here:
        return "No model is installed; `reapaint models get NAME` brings one."
    if all(model.is_base for model in here):
        names = " and ".join(model.name for model in here)
        return f"Only {names} is installed, and a base model has to be named with --model."
    first = next(model for model in here if not model.is_base)
    return f"No model that is installed fits: {first.name}: {plans[first.name].reason}"
