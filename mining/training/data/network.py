"""Small talk, the meanings of Cortensor's terms, and answers long enough to watch a stream."""

import random

from mining.training.data.dates import DAYS, MONTHS
from mining.training.data.phrasing import Family, ask

TERMS: tuple[tuple[str, str], ...] = (
    (
        "Cortensor",
        "Cortensor is a decentralised network for AI inference. Clients open sessions and send"
        " tasks, miners run the models, validators check the answers, and contracts on a chain"
        " pay for good work.",
    ),
    (
        "a miner",
        "A miner is a node that runs a language model. It takes a task, writes the answer,"
        " precommits its hash, and is paid in $COR when the answer is found good.",
    ),
    (
        "a session",
        "A session is a client's account with the network. It names the model and the number of"
        " miners for each task, and it holds the balance from which tasks are paid.",
    ),
    (
        "a task",
        "A task is one prompt in a session. It goes to one or more miners, and their answers are"
        " compared before anybody is paid.",
    ),
    (
        "a precommit",
        "A precommit is the hash of an answer. A miner sends it before any answer is revealed,"
        " so that no miner can copy from another one.",
    ),
    (
        "a commit",
        "A commit reveals the answer after the precommit phase. It must match the hash that the"
        " miner has sent before.",
    ),
    (
        "a validator",
        "A validator checks the miners' answers. It gives every answer a score, and honest"
        " miners gain while cheating miners lose reputation.",
    ),
    (
        "an oracle",
        "The oracle watches the deadlines. When a miner is late it assigns another one, and when"
        " a stage is over it moves the task on.",
    ),
    (
        "a router",
        "A router is the door to the network. It takes prompts over a web API, hands them to"
        " miners, and streams the tokens back to the client.",
    ),
    (
        "$COR",
        "$COR is the token of the Cortensor network. Clients pay for tasks with it, and miners"
        " and validators earn it.",
    ),
    (
        "reputation",
        "Reputation says how well a node has worked so far. Good answers in time raise it, and"
        " wrong or late answers lower it.",
    ),
    (
        "a smart contract",
        "A smart contract is a program on a blockchain. In Cortensor, contracts keep the sessions,"
        " the tasks and the money, so that nobody has to be trusted.",
    ),
    (
        "a token",
        "A token is a piece of text that a language model reads or writes, such as a word, a part"
        " of a word or a digit.",
    ),
    (
        "inference",
        "Inference means running a trained model: it reads a prompt and writes an answer, one"
        " token after another.",
    ),
    (
        "an escrow",
        "An escrow holds the price of a task until the work has been judged. Then it pays the"
        " miners and returns the rest to the session.",
    ),
    (
        "a blockchain",
        "A blockchain is a shared record that many computers keep together. Nobody can change it"
        " alone, so strangers can rely on it.",
    ),
    (
        "a language model",
        "A language model is a program that has learned from text which token is likely to come"
        " next. I am a very small one.",
    ),
)
"""The terms, as a question names them, with their explanations."""

TALK: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("Hello", "Hi", "Hey", "Hi there", "Hello there", "Good morning", "Good evening",
         "Greetings", "Good day", "Hello model", "Hey there", "Good afternoon", "Yo"),
        "Hello! I am Cortensor Mini, a small model. Ask me about numbers, words, dates, capitals,"
        " colours or the Cortensor network.",
    ),
    (
        ("Who are you?", "What are you?", "What is your name?", "Introduce yourself.",
         "Tell me about yourself.", "Are you a robot?", "Which model are you?", "Are you an AI?",
         "What's your name?", "Are you human?", "Who am I talking to?", "What model is this?",
         "Tell me who you are."),
        "I am Cortensor Mini, a very small language model that was trained from scratch to show"
        " how the Cortensor network works.",
    ),
    (
        ("What can you do?", "What do you know?", "How can you help me?", "Help", "Help me.",
         "What can I ask you?", "What are you good at?", "What should I ask?", "Can you help me?",
         "What questions can you answer?", "What do you do?", "Give me some ideas."),
        "I can add, subtract, multiply and compare numbers, convert units, sort and count words,"
        " tell days and months, name capitals and colours, and explain the Cortensor network.",
    ),
    (
        ("How are you?", "How are you doing?", "How do you do?", "How is it going?",
         "How are you today?", "What's up?", "Are you well?", "How do you feel?", "All good?"),
        "I am fine, thank you. What would you like to know?",
    ),
    (
        ("Thank you", "Thanks", "Thanks a lot", "Thank you very much", "Many thanks", "Great",
         "Good job", "Well done", "That was helpful", "Cool", "Nice", "Perfect"),
        "You are welcome!",
    ),
    (
        ("Bye", "Goodbye", "See you", "Good night", "See you later", "Bye bye", "Farewell",
         "Have a nice day", "Until next time", "I have to go"),
        "Goodbye! Come back any time.",
    ),
    (
        ("Who made you?", "Who trained you?", "Where do you come from?", "Who created you?",
         "How were you made?", "Who built you?", "How were you trained?", "Who is your maker?"),
        "The engineers of Cortensor trained me from scratch, on questions and answers that a"
        " program wrote.",
    ),
    (
        ("How does Cortensor work?", "How does the network work?", "Explain how Cortensor works.",
         "What happens to my prompt?", "How is a task done?", "What happens to a task?",
         "What are the steps of a task?", "Explain the life of a task."),
        "First a client sends a prompt to a router. Then miners run the model and precommit the"
        " hashes of their answers. After that they reveal the answers, validators score them, and"
        " the contract pays the miners from the escrow.",
    ),
    (
        ("How do miners get paid?", "Who pays the miners?", "How does a miner earn money?",
         "When are miners paid?", "What do miners earn?", "How can I earn $COR?",
         "How do I earn with a miner?"),
        "A task's price waits in an escrow. When validators find a miner's answer good, the"
        " contract pays the miner in $COR; what is left returns to the session.",
    ),
    (
        ("What if a miner cheats?", "Can a miner cheat?", "What happens to a cheating miner?",
         "How are cheaters caught?", "What happens when a miner uses a cheap model?",
         "How does the network stop cheating?", "What if a miner lies?"),
        "A miner that runs a cheaper model gives other answers than honest miners. Validators"
        " notice this, the answer earns little or nothing, and the miner's reputation falls.",
    ),
    (
        ("List the days of the week.", "What are the days of the week?", "Name all weekdays.",
         "Which days does a week have?", "Name the days of the week.", "Days of the week?",
         "Tell me the days of the week."),
        f"The days of the week are {', '.join(DAYS[:-1])} and {DAYS[-1]}.",
    ),
    (
        ("List the months.", "What are the months of the year?", "Name all months.",
         "Which months does a year have?", "Name the months of the year.", "Months of the year?",
         "List the months of the year."),
        f"The months of the year are {', '.join(MONTHS[:-1])} and {MONTHS[-1]}.",
    ),
    (
        ("Say the alphabet.", "What is the alphabet?", "List the alphabet.", "Tell me the ABC.",
         "Write down the alphabet.", "What are the letters of the alphabet?",
         "Recite the alphabet."),
        " ".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    ),
    (
        ("What are the planets?", "List the planets.", "Name all planets.",
         "Which planets are there?", "Name the planets of the solar system.",
         "List the planets of the solar system.", "Tell me the planets."),
        "The planets are Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus and Neptune.",
    ),
    (
        ("What are the seasons?", "List the seasons.", "Name the four seasons.",
         "Which seasons are there?", "Name the seasons of the year.", "Tell me the seasons.",
         "What are the four seasons?"),
        "The seasons are spring, summer, autumn and winter.",
    ),
)  # fmt: skip
"""Groups of questions that share one answer, with that answer."""


def term(rng: random.Random) -> tuple[str, str]:
    """Ask for the meaning of one of the network's terms."""
    name, meaning = rng.choice(TERMS)
    question = ask(
        rng,
        (
            "What is {t}?",
            "What's {t}?",
            "Explain {t}.",
            "Explain to me what {t} is.",
            "Tell me about {t}.",
            "Can you explain {t}?",
            "What does {t} mean?",
            "Do you know what {t} is?",
            "Define {t}.",
            "I want to know what {t} is.",
            "What is {t} in Cortensor?",
            "Describe {t}.",
        ),
        t=name,
    )
    return question, meaning


def talk(rng: random.Random) -> tuple[str, str]:
    """Greet the model, or ask about the model, about the network, or for a well-known list."""
    questions, answer = rng.choice(TALK)
    question = rng.choice(questions)
    if question[-1] not in ".?":
        question += rng.choice(("", "!", "."))
    return question, answer


def counting(rng: random.Random) -> tuple[str, str]:
    """Ask the model to count up or down by ones, over at most twenty numbers."""
    a = rng.randint(0, 40)
    b = a + rng.randint(3, 19)
    if rng.random() < 0.25:
        a, b = b, a
    question = ask(
        rng,
        (
            "Count from {a} to {b}.",
            "Can you count from {a} to {b}?",
            "Count {a} to {b}",
            "List the numbers from {a} to {b}.",
            "Write the numbers from {a} to {b}.",
        ),
        a=a,
        b=b,
    )
    step = 1 if a < b else -1
    return question, ", ".join(str(n) for n in range(a, b + step, step)) + "."


FAMILIES: dict[str, Family] = {
    "network terms": term,
    "small talk and lists": talk,
    "counting": counting,
}
