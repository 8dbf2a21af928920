"""The categories of the Universal Category System, and related words.

File names in such libraries begin with a CatID: the category's short form in capitals and then
the subcategory's, as in ``DOORWood_Slam_ABC_Lib.wav``.
"""

import re
from dataclasses import dataclass
from functools import cache

from reapaint_engine.backends.library.words import stem, words_of

CATEGORIES = {
    "AERO": "aircraft: airplane aeroplane plane jet helicopter propeller flight drone glider",
    "AIR": "air: hiss blow pressure steam pneumatic burst leak suction",
    "ALRM": "alarms: alarm siren buzzer warning smoke bell emergency",
    "AMB": "ambience: ambient atmosphere atmos background room tone roomtone soundscape",
    "ANML": "animals: animal dog cat horse cow pig sheep wild bark growl howl insect frog",
    "ARCH": "archived: archive test scene production historic",
    "BEEP": "beeps: beep bleep tone blip signal timer",
    "BELL": "bells: bell chime ding gong church hand doorbell ring toll",
    "BIRD": "birds: bird chirp song tweet crow gull owl pigeon rooster hen caw",
    "BLLT": "bullets: bullet ricochet whizz impact shell casing flyby",
    "BOAT": "boats: boat ship ferry sail sailing motorboat submarine vessel rowing",
    "CERM": "ceramics: ceramic pottery china plate porcelain tile vase crockery mug",
    "CHAN": "chains: chain shackle rattle link",
    "CHEM": "chemicals: chemical acid fizz bubble reaction",
    "CLOCK": "clocks: clock tick ticking tock watch timepiece cuckoo alarm",
    "CLOTH": "cloth: fabric rustle rip tear flap garment curtain sheet",
    "CMPT": "computers: computer keyboard mouse typing printer drive laptop",
    "COMM": "communications: phone telephone radio walkie static dial camera television modem",
    "CREA": "creatures: creature monster beast alien dragon roar zombie",
    "CRWD": "crowds: crowd walla audience applause cheer people chatter clap stadium",
    "DEST": "destruction: destroy collapse crash debris crumble demolish wreck",
    "DIRT": "dirt sand: gravel soil earth dig shovel dust grit",
    "DOOR": "doors: door gate slam knock creak hinge latch knob handle lock entrance squeak",
    "DRWR": "drawers: drawer cabinet slide dresser furniture",
    "DSGN": "designed: design drone riser whoosh boom stinger synth texture rumble braam",
    "ELEC": "electricity: electric spark zap arc buzz hum shock current voltage",
    "EQUIP": "equipment: gear kit tactical sport bag buckle handling",
    "EXPL": "explosions: explosion explode blast boom detonation bomb grenade",
    "FART": "farts: fart flatulence raspberry",
    "FEET": "footsteps: footstep feet foot walk run step stomp shuffle shoe boot heel",
    "FGHT": "fight: punch hit kick slap fist combat body grab whoosh",
    "FIRE": "fire: flame burn crackle campfire torch fireplace ignite",
    "FOLY": "foley: hands prop body cloth movement touch grab",
    "FOOD": "food drink: eat chew cook kitchen sizzle pour glass bite sip slurp fry boil",
    "FRWK": "fireworks: firework firecracker rocket sparkler",
    "GAME": "games: game arcade casino slot dice card board pinball video",
    "GEO": "geothermal: geyser lava volcano mudpot fumarole steam",
    "GLAS": "glass: bottle break smash shatter clink shard window jar pane",
    "GORE": "gore: blood flesh bone squish guts wet stab splatter",
    "GUN": "guns: gun gunshot shot pistol rifle shotgun firearm reload cannon automatic weapon",
    "HMN": "human: breath cough sneeze heartbeat hiccup snore burp kiss yawn sniff body",
    "HORN": "horns: horn honk airhorn foghorn car klaxon",
    "ICE": "ice: frozen crack cube glacier freeze",
    "LASR": "lasers: laser beam blaster ray gun",
    "LETR": "leather: creak belt jacket saddle",
    "LIQM": "liquid mud: slime goo ooze splat sludge bubble squelch",
    "MACH": "machines: machine machinery factory industrial fan pump conveyor hvac washer",
    "MAGC": "magic: spell shimmer fairy sparkle wand enchant",
    "MECH": "mechanical: mechanism gear click lever switch ratchet crank pulley relay clunk",
    "METL": "metal: metallic steel iron clang clank scrape tin impact bang",
    "MOTR": "motors: motor servo engine electric whirr",
    "MOVE": "movement: move activity presence crowd animal",
    "MUSC": "musical: music instrument drum guitar piano string loop percussion note sting cymbal",
    "NATD": "natural disaster: earthquake avalanche tornado hurricane tsunami landslide rumble",
    "OBJ": "objects: object bag box book coin key household pen umbrella suitcase zipper",
    "PAPR": "paper: page rustle crumple tear book newspaper cardboard envelope",
    "PLAS": "plastic: bag bottle crinkle lid container polystyrene",
    "RAIN": "rain: rainfall drizzle downpour shower drops storm",
    "ROBT": "robots: robot android servo mech cyborg",
    "ROCK": "rocks: rock stone boulder rubble brick concrete pebble slab",
    "ROPE": "ropes: rope whip cord stretch pull",
    "RUBR": "rubber: stretch squeak balloon tyre tire bounce",
    "SCI": "science fiction: scifi spaceship spacecraft alien futuristic force field teleport",
    "SNOW": "snow: snowball crunch sled ski",
    "SPRT": "sports: sport ball football basketball tennis golf skate gym bat racket",
    "SWSH": "swooshes: swoosh whoosh swish pass by swipe",
    "TOOL": "tools: tool hammer saw drill wrench sander axe nail screwdriver chisel",
    "TOON": "cartoon: comic boing zip pop slide whistle funny squeak",
    "TOY": "toys: toy rattle doll wind up squeaky spinning top",
    "TRN": "trains: train railway railroad steam locomotive subway tram metro track diesel",
    "UI": "user interface: button click alert notification menu beep select confirm hover",
    "VEGE": "vegetation: leaf leaves grass bush tree branch foliage rustle twig plant",
    "VEH": "vehicles: vehicle car automobile truck lorry bus motorcycle bike engine tyre skid",
    "VOX": "voices: voice speech scream shout laugh cry whisper man woman child vocal grunt talk",
    "WATR": "water: splash river stream wave ocean sea drip bubble pour lake surf waterfall flow",
    "WEAP": "weapons: weapon sword knife bow arrow blade axe stab armor armour whip",
    "WHST": "whistles: whistle referee blow kettle",
    "WIND": "wind: breeze gust howl draft blow gale",
    "WNDW": "windows: window pane blind shutter sash",
    "WNGS": "wings: wing flap flutter bird feather",
    "WOOD": "wood: wooden plank board timber log creak snap stick crack",
    "WTHR": "weather: thunder storm lightning hail thunderstorm rumble",
}
"""The short form of each category, with its name and words that people search for it by."""

ABBREVIATIONS = {
    "amb": "ambience", "appl": "applause", "brk": "break", "bld": "building",
    "clst": "close", "constr": "construction", "crsh": "crash", "cult": "culture",
    "dsgn": "designed", "elec": "electric", "ext": "exterior", "flr": "floor",
    "forst": "forest", "grnd": "ground", "hmn": "human", "hrse": "horse", "hvy": "heavy",
    "imp": "impact", "inds": "industrial", "int": "interior", "lght": "light",
    "mach": "machine", "mech": "mechanical", "metl": "metal", "misc": "various",
    "mtl": "metal", "mvmt": "movement", "nght": "night", "offc": "office",
    "pis": "pistol", "plas": "plastic", "rifl": "rifle", "roomtone": "room tone",
    "rstl": "rustle", "rurl": "rural", "shtgn": "shotgun", "strm": "storm",
    "subn": "suburban", "trffc": "traffic", "trop": "tropical", "turb": "turbulent",
    "undr": "underwater", "urbn": "urban", "vege": "vegetation", "wtr": "water",
}  # fmt: skip
"""Usual meanings of the shortened subcategories in a CatID."""

MAX_INFERRED_CATEGORIES = 2
"""At most this many categories are guessed from a name that states none."""

_CAT_ID = re.compile(r"([A-Z]{2,5})((?:[A-Z][a-z0-9]+)+)(?=[-_ .]|$)")


@dataclass(frozen=True, slots=True)
class CatId:
    """A file name's category: ``words`` name it, ``related`` are related, ``rest`` follows it."""

    words: tuple[str, ...]
    related: tuple[str, ...]
    rest: str


def parse_cat_id(name: str) -> CatId | None:
    """Return the category that a file name begins with, or None."""
    match = _CAT_ID.match(name)
    if match is None or match[1] not in CATEGORIES:
        return None
    title, related = _category(match[1])
    subcategory = [
        each for word in words_of(match[2]) for each in ABBREVIATIONS.get(word, word).split()
    ]
    return CatId((*title, *subcategory), related, name[match.end() :])


def related_words(words: list[str]) -> tuple[str, ...]:
    """Return words of the categories that the given words suggest, the most suggested first."""
    votes: dict[str, int] = {}
    for word in dict.fromkeys(stem(each) for each in words):
        for short in _suggested().get(word, ()):
            votes[short] = votes.get(short, 0) + 1
    likeliest = sorted(votes, key=lambda short: (-votes[short], short))[:MAX_INFERRED_CATEGORIES]
    return tuple(
        dict.fromkeys(word for short in likeliest for part in _category(short) for word in part)
    )


@cache
def _category(short: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    title, _, related = CATEGORIES[short].partition(":")
    return tuple(title.split()), tuple(related.split())


@cache
def _suggested() -> dict[str, tuple[str, ...]]:
    """Return the categories that each word suggests; a word of many categories suggests none."""
    found: dict[str, list[str]] = {}
    for short in CATEGORIES:
        for word in {stem(word) for part in _category(short) for word in part}:
            found.setdefault(word, []).append(short)
    return {
        word: tuple(shorts)
        for word, shorts in found.items()
        if len(shorts) <= MAX_INFERRED_CATEGORIES
    }
