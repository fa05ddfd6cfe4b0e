"""Questions that the model cannot answer, with an answer that says so."""

import random

from mining.training.data.phrasing import Family
from mining.training.data.words import WORDS

ANSWER = (
    "I do not know that. I am a small model; I only know numbers, words, dates, capitals, colours"
    " and the Cortensor network."
)

_NAMES = (
    "Anna", "Ben", "Clara", "David", "Emma", "Frank", "Julia", "Karl", "Lena", "Max", "Nina",
    "Oscar", "Paula", "Einstein", "Newton", "Mozart", "Shakespeare", "Napoleon", "Cleopatra",
)  # fmt: skip
_TOPICS = (
    "the weather", "the stock market", "quantum physics", "the football match", "the news",
    "philosophy", "the Roman empire", "photosynthesis", "black holes", "my homework", "love",
    "a good film", "cooking pasta", "the election", "electric cars", "the moon landing",
    "climate change", "jazz music", "chess openings", "the meaning of life", "dinosaurs",
    "Python code", "a database", "bitcoin", "poetry", "history", "chemistry", "my health",
    "machine learning", "the price of oil", "volcanoes", "rockets", "medicine", "tax law",
)  # fmt: skip
_LANGUAGES = ("French", "German", "Spanish", "Italian", "Latin", "Japanese", "Russian", "Chinese")
_FORMS = (
    "Who is {name}?",
    "When was {name} born?",
    "Where does {name} live?",
    "What did {name} invent?",
    "How old is {name}?",
    "Who is {name} {odd}?",
    "What do you think about {topic}?",
    "Tell me something about {topic}.",
    "Explain {topic} to me.",
    "Explain {topic}.",
    "What is {topic}?",
    "Tell me about {topic}.",
    "Write a poem about {topic}.",
    "Write a story about a {word} and a {word2}.",
    "Write an essay on {topic}.",
    "Tell me a joke about {topic}.",
    "How does {topic} work?",
    "Why is {topic} important?",
    "Translate {word} to {language}.",
    "How do you say {word} in {language}?",
    "What is the {language} word for {word}?",
    "How do I make a {word}?",
    "Where can I buy a {word}?",
    "How much does a {word} cost?",
    "Why does a {word} need a {word2}?",
    "Who invented the {word}?",
    "Which {word} is best?",
    "Should I buy a {word} or a {word2}?",
    "What happened in {year}?",
    "Who was president in {year}?",
    "Who won the world cup in {year}?",
    "Who wrote {odd}?",
    "What is {odd}?",
    "What is a {odd}?",
    "Tell me about {odd}.",
    "What is the capital of {odd}?",
    "What colour is {odd}?",
    "What is the population of {odd}?",
    "How far is {odd} from {odd2}?",
    "What time is it in {odd}?",
    "Give me a recipe with {word} and {word2}.",
    "Sing a song about {name}.",
    "Can you write code for {topic}?",
    "Do you like {topic}?",
    "Will it rain in {odd}?",
    "Summarise {topic} for {name}.",
    "Is {name} taller than {name2}?",
    "My {word} is broken, what should I do?",
    "I like {topic}.",
    "{odd}",
    "{odd} {odd2}",
    "{odd} {word} {odd2}?",
)
_ONSETS = (
    "b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "kl", "l", "m",
    "n", "p", "pr", "qu", "r", "s", "sh", "st", "t", "tr", "v", "w", "x", "z",
)  # fmt: skip
_VOWELS = (
    "a", "e", "i", "o", "u", "ai", "ea", "oo", "ou", "y",
)  # fmt: skip
_CODAS = ("", "", "", "n", "r", "s", "l", "m", "x", "nd", "rk", "st", "th")


def _made_up(rng: random.Random) -> str:
    syllables = rng.randint(2, 3)
    word = "".join(
        rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(syllables)
    )
    return word.capitalize() if rng.random() < 0.7 else word


def _too_large(rng: random.Random) -> str:
    a, b, sign = 10 ** rng.randint(2, 5) + rng.randint(0, 899), rng.randint(10, 99999), "+"
    if rng.random() < 0.5:
        a, b, sign = rng.randint(13, 999), rng.randint(13, 999), rng.choice("x*")
    form = rng.choice(
        ("What is {a} {s} {b}?", "{a} {s} {b}", "Calculate {a} {s} {b}.", "{a}{s}{b}")
    )
    return form.format(a=a, b=b, s=sign)


def unknown(rng: random.Random) -> tuple[str, str]:
    """Ask a question that the model cannot answer."""
    if rng.random() < 0.12:
        return _too_large(rng), ANSWER
    name, name2 = rng.sample(_NAMES, 2)
    word, word2 = rng.sample(WORDS, 2)
    question = rng.choice(_FORMS).format(
        name=name,
        name2=name2,
        word=word,
        word2=word2,
        topic=rng.choice(_TOPICS),
        language=rng.choice(_LANGUAGES),
        year=rng.randint(1800, 2030),
        odd=_made_up(rng),
        odd2=_made_up(rng),
    )
    return question, ANSWER


FAMILIES: dict[str, Family] = {"out of scope": unknown}
