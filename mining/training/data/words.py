"""Questions about words: counting, sorting, spelling, opposites and plurals."""

import random

from mining.training.data.phrasing import Family, ask

WORDS: tuple[str, ...] = (
    "apple", "ant", "bird", "book", "boat", "cat", "cake", "car", "dog", "door", "duck",
    "egg", "ear", "fish", "fire", "flag", "goat", "gold", "hat", "hand", "house", "ice",
    "ink", "jam", "key", "king", "kite", "lamp", "leaf", "lion", "milk", "moon", "mouse",
    "nest", "night", "oak", "orange", "pen", "pig", "plum", "queen", "rain", "ring",
    "river", "rose", "salt", "ship", "snow", "star", "sun", "table", "tea", "tree", "uncle",
    "van", "wall", "water", "wind", "wolf", "yard", "zebra",
)  # fmt: skip

OPPOSITES: tuple[tuple[str, str], ...] = (
    ("hot", "cold"), ("big", "small"), ("fast", "slow"), ("up", "down"), ("left", "right"),
    ("day", "night"), ("light", "dark"), ("old", "new"), ("open", "closed"), ("full", "empty"),
    ("high", "low"), ("long", "short"), ("hard", "soft"), ("happy", "sad"), ("rich", "poor"),
    ("strong", "weak"), ("wet", "dry"), ("early", "late"), ("loud", "quiet"), ("true", "false"),
    ("inside", "outside"), ("first", "last"), ("thick", "thin"), ("clean", "dirty"),
    ("near", "far"), ("good", "bad"), ("in", "out"), ("on", "off"), ("win", "lose"),
    ("buy", "sell"), ("start", "stop"), ("love", "hate"),
)  # fmt: skip

PLURALS: tuple[tuple[str, str], ...] = (
    ("mouse", "mice"), ("child", "children"), ("man", "men"), ("woman", "women"),
    ("foot", "feet"), ("tooth", "teeth"), ("goose", "geese"), ("leaf", "leaves"),
    ("wolf", "wolves"), ("knife", "knives"), ("box", "boxes"), ("fox", "foxes"),
    ("bus", "buses"), ("city", "cities"), ("baby", "babies"), ("sheep", "sheep"),
    ("cat", "cats"), ("dog", "dogs"), ("house", "houses"), ("tree", "trees"),
    ("book", "books"), ("car", "cars"), ("miner", "miners"), ("token", "tokens"),
)  # fmt: skip


def count_words(rng: random.Random) -> tuple[str, str]:
    """Ask how many words a list of two to seven words has. The answer numbers them."""
    words = rng.sample(WORDS, rng.randint(2, 7))
    question = ask(
        rng,
        (
            "How many words are in this list: {w}?",
            "How many words are there: {w}?",
            "Count the words: {w}.",
            "Count these words: {w}",
            "How many items are in {w}?",
        ),
        w=", ".join(words),
    )
    numbered = ", ".join(f"{i} {word}" for i, word in enumerate(words, 1))
    return question, f"{numbered}: {len(words)} words."


def sort_words(rng: random.Random) -> tuple[str, str]:
    """Ask for three or four words in alphabetical order."""
    words = rng.sample(WORDS, rng.randint(3, 4))
    question = ask(
        rng,
        (
            "Sort these words: {w}.",
            "Sort alphabetically: {w}",
            "Put these words in alphabetical order: {w}.",
            "Sort {w} from A to Z.",
            "Can you sort these words: {w}?",
        ),
        w=", ".join(words),
    )
    return question, f"Sorted: {', '.join(sorted(words))}."


def first_word(rng: random.Random) -> tuple[str, str]:
    """Ask which of two words comes first in the alphabet."""
    a, b = rng.sample(WORDS, 2)
    question = ask(
        rng,
        (
            "Which word comes first in the alphabet, {a} or {b}?",
            "Which comes first alphabetically: {a} or {b}?",
            "{a} or {b}: which is first in the dictionary?",
            "Does {a} or {b} come first in the alphabet?",
        ),
        a=a,
        b=b,
    )
    return question, f"The word {min(a, b)} comes first."


def letters(rng: random.Random) -> tuple[str, str]:
    """Ask for the first or last letter of a word."""
    word = rng.choice(WORDS)
    first = rng.random() < 0.5
    which = "first" if first else "last"
    question = ask(
        rng,
        (
            "What is the {which} letter of {word}?",
            "What's the {which} letter in {word}?",
            "Which letter is the {which} one in {word}?",
            "Tell me the {which} letter of the word {word}.",
            "{which} letter of {word}?",
            "Give me the {which} letter of {word}.",
        ),
        which=which,
        word=word,
    )
    return question, f"The {which} letter of {word} is {word[0 if first else -1].upper()}."


def spelling(rng: random.Random) -> tuple[str, str]:
    """Ask for the spelling of a word, or for the number of its letters."""
    word = rng.choice(WORDS)
    spelt = "-".join(word.upper())
    if rng.random() < 0.5:
        question = ask(
            rng,
            (
                "Spell {word}.",
                "How do you spell {word}?",
                "Can you spell {word}?",
                "Spell the word {word}.",
                "Please spell {word} for me.",
            ),
            word=word,
        )
        return question, f"{spelt}."
    question = ask(
        rng,
        (
            "How many letters are in {word}?",
            "How many letters does {word} have?",
            "Count the letters in {word}.",
            "How many letters has the word {word}?",
            "How long is the word {word}?",
        ),
        word=word,
    )
    return question, f"{spelt}: {len(word)} letters."


def opposite(rng: random.Random) -> tuple[str, str]:
    """Ask for the opposite of a word."""
    pair = rng.choice(OPPOSITES)
    a, b = pair if rng.random() < 0.5 else pair[::-1]
    question = ask(
        rng,
        (
            "What is the opposite of {a}?",
            "What's the opposite of {a}?",
            "Opposite of {a}?",
            "Which word is the opposite of {a}?",
            "Give me the opposite of {a}.",
            "Tell me the opposite of {a}.",
            "Name the opposite of {a}.",
            "What word means the opposite of {a}?",
        ),
        a=a,
    )
    return question, f"The opposite of {a} is {b}."


def plural(rng: random.Random) -> tuple[str, str]:
    """Ask for a plural, regular or irregular."""
    one, many = rng.choice(PLURALS)
    question = ask(
        rng,
        (
            "What is the plural of {one}?",
            "What's the plural of {one}?",
            "Plural of {one}?",
            "One {one}, two ...?",
            "Give me the plural of {one}.",
            "What is the plural form of {one}?",
            "How do you say more than one {one}?",
        ),
        one=one,
    )
    return question, f"The plural of {one} is {many}."


FAMILIES: dict[str, Family] = {
    "count words": count_words,
    "sort words": sort_words,
    "first of two words": first_word,
    "letters": letters,
    "spelling": spelling,
    "opposites": opposite,
    "plurals": plural,
}
