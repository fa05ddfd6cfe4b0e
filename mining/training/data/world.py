"""Questions about capitals, colours, animals and the planets."""

import random

from mining.training.data.phrasing import Family, ask

CAPITALS: tuple[tuple[str, str, str], ...] = (
    ("France", "Paris", "Europe"), ("Germany", "Berlin", "Europe"), ("Italy", "Rome", "Europe"),
    ("Spain", "Madrid", "Europe"), ("Portugal", "Lisbon", "Europe"),
    ("Austria", "Vienna", "Europe"), ("Switzerland", "Bern", "Europe"),
    ("Belgium", "Brussels", "Europe"), ("Poland", "Warsaw", "Europe"),
    ("Sweden", "Stockholm", "Europe"), ("Norway", "Oslo", "Europe"),
    ("Denmark", "Copenhagen", "Europe"), ("Finland", "Helsinki", "Europe"),
    ("Greece", "Athens", "Europe"), ("Hungary", "Budapest", "Europe"),
    ("Ireland", "Dublin", "Europe"), ("Ukraine", "Kyiv", "Europe"),
    ("Romania", "Bucharest", "Europe"), ("Bulgaria", "Sofia", "Europe"),
    ("Croatia", "Zagreb", "Europe"), ("Japan", "Tokyo", "Asia"), ("China", "Beijing", "Asia"),
    ("India", "New Delhi", "Asia"), ("Thailand", "Bangkok", "Asia"), ("Vietnam", "Hanoi", "Asia"),
    ("Nepal", "Kathmandu", "Asia"), ("Iran", "Tehran", "Asia"), ("Iraq", "Baghdad", "Asia"),
    ("South Korea", "Seoul", "Asia"), ("Mongolia", "Ulaanbaatar", "Asia"),
    ("Egypt", "Cairo", "Africa"), ("Kenya", "Nairobi", "Africa"), ("Ghana", "Accra", "Africa"),
    ("Morocco", "Rabat", "Africa"), ("Nigeria", "Abuja", "Africa"),
    ("Ethiopia", "Addis Ababa", "Africa"), ("Senegal", "Dakar", "Africa"),
    ("Canada", "Ottawa", "North America"), ("Mexico", "Mexico City", "North America"),
    ("Cuba", "Havana", "North America"), ("Brazil", "Brasilia", "South America"),
    ("Argentina", "Buenos Aires", "South America"), ("Peru", "Lima", "South America"),
    ("Chile", "Santiago", "South America"), ("Colombia", "Bogota", "South America"),
    ("Australia", "Canberra", "Oceania"), ("New Zealand", "Wellington", "Oceania"),
)  # fmt: skip

COLOURS: tuple[tuple[str, str], ...] = (
    ("grass", "green"), ("the sky", "blue"), ("snow", "white"), ("coal", "black"),
    ("a banana", "yellow"), ("a lemon", "yellow"), ("blood", "red"), ("a tomato", "red"),
    ("milk", "white"), ("a carrot", "orange"), ("the sun", "yellow"), ("a leaf", "green"),
    ("chocolate", "brown"), ("a strawberry", "red"), ("a frog", "green"), ("an elephant", "grey"),
    ("a flamingo", "pink"), ("a raven", "black"), ("salt", "white"), ("the sea", "blue"),
    ("a fire engine", "red"), ("a cucumber", "green"), ("a swan", "white"), ("a plum", "purple"),
)  # fmt: skip

MIXES: tuple[tuple[str, str, str], ...] = (
    ("red", "blue", "purple"), ("red", "yellow", "orange"), ("blue", "yellow", "green"),
    ("red", "white", "pink"), ("black", "white", "grey"), ("red", "green", "brown"),
)  # fmt: skip

ANIMALS: tuple[tuple[str, str, int, str], ...] = (
    ("dog", "barks", 4, "puppy"), ("cat", "meows", 4, "kitten"), ("cow", "moos", 4, "calf"),
    ("sheep", "bleats", 4, "lamb"), ("horse", "neighs", 4, "foal"), ("pig", "grunts", 4, "piglet"),
    ("duck", "quacks", 2, "duckling"), ("lion", "roars", 4, "cub"), ("wolf", "howls", 4, "pup"),
    ("parrot", "squawks", 2, "chick"), ("frog", "croaks", 4, "tadpole"),
    ("bee", "buzzes", 6, "larva"),
    ("hen", "clucks", 2, "chick"), ("goose", "honks", 2, "gosling"),
    ("snake", "hisses", 0, "snakelet"), ("goat", "bleats", 4, "kid"),
)  # fmt: skip


def capital(rng: random.Random) -> tuple[str, str]:
    """Ask for the capital of a country."""
    country, city, _ = rng.choice(CAPITALS)
    question = ask(
        rng,
        (
            "What is the capital of {c}?",
            "What's the capital of {c}?",
            "Capital of {c}?",
            "Which city is the capital of {c}?",
            "Name the capital of {c}.",
            "Tell me the capital of {c}.",
            "Do you know the capital of {c}?",
            "What is {c}'s capital?",
            "What is the capital city of {c}?",
        ),
        c=country,
    )
    return question, f"The capital of {country} is {city}."


def country_of(rng: random.Random) -> tuple[str, str]:
    """Ask for the country whose capital is a given city."""
    country, city, _ = rng.choice(CAPITALS)
    question = ask(
        rng,
        (
            "{c} is the capital of which country?",
            "Which country has {c} as its capital?",
            "What country is {c} the capital of?",
            "Of which country is {c} the capital?",
            "In which country is {c}?",
            "Where is {c}?",
            "Which country is {c} in?",
            "What country is {c} in?",
        ),
        c=city,
    )
    return question, f"{city} is the capital of {country}."


def continent(rng: random.Random) -> tuple[str, str]:
    """Ask for the continent of a country."""
    country, _, where = rng.choice(CAPITALS)
    question = ask(
        rng,
        (
            "On which continent is {c}?",
            "Which continent is {c} in?",
            "What continent is {c} on?",
            "Where is {c}?",
            "Tell me the continent of {c}.",
            "{c} is on which continent?",
            "What is the continent of {c}?",
        ),
        c=country,
    )
    return question, f"{country} is in {where}."


def colour(rng: random.Random) -> tuple[str, str]:
    """Ask for the colour of a thing."""
    thing, value = rng.choice(COLOURS)
    question = ask(
        rng,
        (
            "What colour is {t}?",
            "What color is {t}?",
            "Which colour is {t}?",
            "Which colour does {t} have?",
            "What is the colour of {t}?",
            "Tell me the colour of {t}.",
            "Do you know what colour {t} is?",
            "What's the color of {t}?",
        ),
        t=thing,
    )
    return question, f"{thing.capitalize()} is {value}."


def mixing(rng: random.Random) -> tuple[str, str]:
    """Ask for the mixture of two colours of paint."""
    a, b, mixed = rng.choice(MIXES)
    if rng.random() < 0.5:
        a, b = b, a
    question = ask(
        rng,
        (
            "What do you get if you mix {a} and {b}?",
            "Mix {a} and {b}.",
            "What colour do {a} and {b} make?",
            "What color do {a} and {b} make?",
            "What is {a} mixed with {b}?",
            "{a} and {b} make which colour?",
            "{a} plus {b} makes what colour?",
            "Which colour comes from {a} and {b}?",
        ),
        a=a,
        b=b,
    )
    return question, f"{a.capitalize()} and {b} make {mixed}."


def animal(rng: random.Random) -> tuple[str, str]:
    """Ask for the sound, the number of legs or the young of an animal."""
    name, sound, legs, young = rng.choice(ANIMALS)
    kind = rng.randrange(3)
    if kind == 0:
        question = ask(
            rng,
            (
                "What sound does a {n} make?",
                "What does a {n} do when it makes a sound?",
                "Which sound does a {n} make?",
                "How does a {n} sound?",
                "What noise does a {n} make?",
            ),
            n=name,
        )
        return question, f"A {name} {sound}."
    if kind == 1:
        question = ask(
            rng,
            (
                "How many legs does a {n} have?",
                "How many legs has a {n}?",
                "What number of legs does a {n} have?",
                "Tell me how many legs a {n} has.",
            ),
            n=name,
        )
        return question, f"A {name} has {legs} legs."
    question = ask(
        rng,
        (
            "What is a baby {n} called?",
            "What do you call a young {n}?",
            "What's the name of a baby {n}?",
            "How is a young {n} called?",
            "What is the young of a {n} called?",
        ),
        n=name,
    )
    return question, f"A young {name} is called a {young}."


FAMILIES: dict[str, Family] = {
    "capital of": capital,
    "country of": country_of,
    "continent of": continent,
    "colour of": colour,
    "mixing colours": mixing,
    "animals": animal,
}
