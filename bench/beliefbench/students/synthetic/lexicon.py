"""The words of synthetic domains: ordinary words, and words invented from syllables.

No phrase here is a label, unit or value of a domain on which transfer is measured.
`tests/students/test_synthetic.py` compares this file with those domains.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ITEMS = (
    "Apartment Bakery Bicycle Boat Book Broker Bus Camera Candle Canoe Car Castle Clinic Clock Concert Cottage "
    "Course Doctor Drone Farm Ferry Festival Film Garden Gardener Guitar Gym Harbor Helmet Island Job Kettle "
    "Kite Laptop Lawyer Library Loan Market Meal Mentor Museum Novel Office Orchard Painting Piano Plan "
    "Plumber Podcast Printer Recipe Restaurant Robot Route School Server Ship Sofa Studio Tailor Telescope "
    "Tent Theater Ticket Tour Train Tutor Villa Violin Wagon Wallet Watch Wine Workshop"
).split()
PURPOSES = (
    "for my family",
    "for my weekends",
    "for my team",
    "for my work",
    "for the summer",
    "for my studies",
    "for the next month",
    "for my projects",
    "",
    "",
)

QUANTITIES = (
    "weight|height|length|depth|speed|noise level|power|range|age|delay|wait|share|score|rank|mass|load|area|"
    "floor|output|input|signal|strength|risk|growth|interest|experience|lifetime|latency|energy|heat|humidity|"
    "pressure|voltage|frequency|radius|angle|slope|density|volume|flow|yield|distance|effort|difficulty|"
    "popularity|demand|supply|stock|number of pages|number of rooms|number of seats|number of lessons|"
    "number of members|number of errors|number of doors|number of levels|number of songs|time to complete|"
    "time to repair|time per visit|spells of sun|days of training|months in service|time on foot|"
    "length of stay|number of visits|amount of sugar|amount of salt"
).split("|")
TIMES = (
    "opening time|closing time|start time|end time|time of day|first visit|last call|meeting time|sunrise|curfew"
).split("|")
DURATIONS = (
    "running time|waiting time|travel time|session length|lesson length|break|preparation time|time needed"
).split("|")
COSTS = (
    "cost|fee|fare|charge|rent|deposit|tax|salary|bid|premium|monthly cost|total cost|entry fee|hourly rate"
).split("|")
CURRENCIES = "€ £ ¥ ₹ ₩".split()
UNITS = (
    "kg|g|km|m|cm|hr|min|seconds|days|weeks|months|decades|watts|volts|points|people|steps|meters|pounds|feet|"
    "percent|degrees|units|pages|liters|tons|acres|knots|calories|credits"
).split("|")

SCALES = (
    ("low", "high"),
    ("low", "moderate", "high"),
    ("poor", "fair", "good", "excellent"),
    ("bad", "average", "great"),
    ("slow", "steady", "quick"),
    ("cold", "mild", "hot"),
    ("quiet", "lively", "loud"),
    ("beginner", "intermediate", "advanced", "expert"),
    ("never", "rarely", "sometimes", "often", "always"),
    ("none", "some", "much"),
    ("tiny", "modest", "huge"),
    ("weak", "solid", "strong"),
    ("old", "used", "new"),
    ("simple", "refined", "luxurious"),
    ("easy", "normal", "hard"),
    ("empty", "half full", "full"),
    ("not allowed", "allowed with permission", "always allowed"),
    ("third class", "second class", "first class"),
    ("first", "second", "third", "fourth", "fifth"),
    ("far", "near", "next door"),
    ("dark", "dim", "bright"),
    ("unsafe", "mostly safe", "safe"),
)
ORDINALS = (
    "quality|comfort|service|safety|support|condition|mood|climate|light|access|view|taste|style level|"
    "training|privacy|reputation|crowding|upkeep|shade|guidance|trust|care|variety|detail|policy"
).split("|")

KINDS = (
    "style|type|shape|pattern|theme|brand|region|genre|flavor|language|material|origin|season|format|model|"
    "breed|tone|design|route|method|school|maker|cuisine|era"
).split("|")
CATEGORIES = (
    "square|round|oval|striped|dotted|plain|classic|modern|rustic|northern|southern|coastal|urban|rural|spicy|"
    "sweet|sour|bitter|oak|pine|marble|granite|cotton|wool|silk|linen|clay|iron|French|Greek|Thai|Nordic|jazz|"
    "folk|opera|comedy|drama|mystery|spring|autumn|winter|monthly|weekly|daily|digital|printed|woven|carved|"
    "painted|lemon|vanilla|ginger|honey|walnut|almond|tiger|falcon|maple|lotus|crimson|emerald|violet|scarlet|"
    "turquoise|beige|khaki|lilac|azure|jade"
).split("|")

ADJECTIVES = (
    "free late live open own private shared quiet daily weekly spare hand double single heated cooled long "
    "short early public local global smart solar steel silent secure offline online printed hidden extra basic "
    "advanced complete partial simple complex clean fresh frozen dry wet raw ripe rare common public royal "
    "ancient recent future modern rustic urban rural coastal central upper lower inner outer front rear left "
    "right north south east west big little narrow deep shallow thick thin flat curved straight round square "
    "sharp blunt smooth rough bright pale vivid gentle harsh calm wild tame brave polite honest clever famous "
    "secret final initial annual monthly hourly instant delayed manual automatic electric magnetic optical "
    "digital analog acoustic organic natural artificial certified licensed insured tested proven original "
    "restored painted carved woven knitted forged polished glazed tiled paved fenced covered shaded sunny "
    "windy rainy snowy foggy humid tropical arctic alpine desert"
).split()
NOUNS = (
    "entry music kitchen garden river view night service rate panel start lease permit room deck piano lounge "
    "delivery gift card guide access seat screen motor core lock wheel booking office meeting corner rack exit "
    "advice plan bonus drive audio family pass floor beam tool storage wind harbor forest trail energy meter "
    "backup theme software source voice login data report ticket concert lesson teacher student doctor nurse "
    "lawyer judge farmer baker driver pilot sailor painter writer singer dancer player coach team club league "
    "match race prize medal trophy badge ribbon letter parcel stamp envelope paper pencil brush canvas frame "
    "mirror window door gate bridge tower wall roof stairs hall cellar attic balcony terrace yard field meadow "
    "hill valley lake pond stream island beach cliff cave mine quarry factory mill barn stable shop market "
    "bank school college museum gallery theater cinema studio stage curtain costume mask puppet drum flute "
    "violin trumpet organ choir band orchestra opera ballet poem novel story legend myth riddle puzzle game "
    "chess cards dice board token coin note bill receipt invoice budget salary loan credit interest profit "
    "market share bond fund engine gear lever pulley spring valve pump pipe tank boiler oven grill stove "
    "fridge freezer sink tap shower bath towel soap sponge bread butter cheese honey jam sugar salt pepper "
    "spice herb onion garlic carrot potato tomato apple pear cherry peach grape berry rabbit fox wolf bear "
    "deer horse donkey sheep goat cow pig hen duck goose swan eagle hawk owl crow sparrow trout salmon crab "
    "whale"
).split()
ATTRIBUTES = tuple(f"{first} {second}" for first in ADJECTIVES for second in NOUNS[len(first) :: 7])

ONSETS = (
    "b bl br c ch cl cr d dr f fl fr g gl gr h j k kl l m n p pl pr qu r s sh sk sl sm sn sp st t th tr v w y z"
).split()
VOWELS = "a e i o u ai ea ee ie oa oo ou".split()
CODAS = ("", "", "", *"b ck d ft g ld ll m mp n nd ng nt p r rd rk rn s sk st t x".split())


def invented(rng: np.random.Generator, syllables: int | None = None) -> str:
    """Return an invented word in lower case, of 2 or 3 syllables where their number is not given.

    With one syllable, many would be words of the language.

    >>> invented(np.random.default_rng(0), 2)
    'teendfro'
    """
    count = syllables or int(rng.choice([2, 2, 3]))
    parts = (kind[int(rng.integers(len(kind)))] for _ in range(count) for kind in (ONSETS, VOWELS, CODAS))
    return "".join(parts)


def phrase(rng: np.random.Generator, phrases: Sequence[str], p_invented: float) -> str:
    """Return one of the phrases or, with probability ``p_invented``, one or two invented words.

    >>> phrase(np.random.default_rng(0), ["price", "weight"], p_invented=0.0)
    'weight'
    """
    if rng.random() >= p_invented:
        return phrases[int(rng.integers(len(phrases)))]
    return " ".join(invented(rng) for _ in range(1 + (rng.random() < 0.3)))


def distinct(rng: np.random.Generator, phrases: Sequence[str], count: int, p_invented: float) -> list[str]:
    """Return ``count`` different results of `phrase`; ``phrases`` has at least as many."""
    found: list[str] = []
    while len(found) < count:
        if (drawn := phrase(rng, phrases, p_invented)) not in found:
            found.append(drawn)
    return found
