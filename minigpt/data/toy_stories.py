"""Stories so small that it is known what there is to know about them: a form, and a few words drawn by lot."""

import math
import re
from random import Random

WORDS = {
    "mood": ("little", "happy", "shy", "brave", "clever", "sleepy"),
    "animal": ("cat", "dog", "frog", "bear", "duck", "fox", "mouse", "goat"),
    "name": ("Tom", "Lily", "Max", "Mia", "Ben", "Anna", "Sam", "Lucy", "Tim", "Rosie", "Jack", "Ella"),
    "colour": ("red", "blue", "green", "yellow", "white", "brown"),
    "thing": ("ball", "hat", "kite", "cup", "drum", "boat", "book", "bell", "spoon", "box", "shoe", "ring"),
}


TEMPLATE = """\
Once upon a time there was a {mood} {animal} named {name}.
{name} had a {colour} {thing}.
One day {name} lost the {colour} {thing}.
The {mood} {animal} was sad, but a friend found the {thing}."""


MENTIONS = re.findall(r"{(\w+)}", TEMPLATE)


FORM = re.compile(re.sub(r"\\{(\w+)\\}", lambda slot: f"({'|'.join(WORDS[slot[1]])})", re.escape(TEMPLATE)))


def sample_story(random: Random) -> str:
    """Return a story, its words drawn by lot."""
    return TEMPLATE.format(**{slot: random.choice(words) for slot, words in WORDS.items()})


def story_entropy(remembers: bool = True) -> float:
    """Return the nats of a story that nobody can foresee.

    Who remembers pays for each word of the lot once, where it is first said; who knows the form, but not what was said
    before, pays for it at every mention.
    """
    return sum(math.log(len(WORDS[slot])) for slot in (WORDS if remembers else MENTIONS))


def classify_story(text: str) -> str:
    """Return what a text is: "coherent", "well formed" (but somebody or something has changed), or "broken"."""
    found = FORM.fullmatch(text.strip())
    if found is None:
        return "broken"
    said = set(zip(MENTIONS, found.groups(), strict=True))
    return "coherent" if len(said) == len(WORDS) else "well formed"
