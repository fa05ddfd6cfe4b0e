"""The formats of strings that can be enforced.

Each expression admits only strings that the format's RFC allows, and covers what people usually
write. It excludes leap seconds, quoted local parts of addresses, and IPv6 addresses that end in an
IPv4 address. Numbers have a maximal length, so that a small model does not write digits for ever.
"""

from sessions.faces.openai.json_schema.strings.patterns import Pattern, read_patterns

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_H16 = "[0-9a-fA-F]{1,4}"
_IPV6 = "|".join(
    (
        f"(?:{_H16}:){{7}}{_H16}",
        f"(?:{_H16}:){{1,7}}:",
        *(f"(?:{_H16}:){{1,{7 - n}}}(?::{_H16}){{1,{n}}}" for n in range(1, 7)),
        f":(?::{_H16}){{1,7}}",
        "::",
    )
)
_FOURTH = "(?:0[48]|[2468][048]|[13579][26])"
_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_LEAP_YEAR = f"(?:[0-9]{{2}}{_FOURTH}|{_FOURTH}00)"
_DATE = "|".join(
    (
        f"{_YEAR}-(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])",
        f"{_YEAR}-(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)",
        f"{_YEAR}-02-(?:0[1-9]|1[0-9]|2[0-8])",
        f"{_LEAP_YEAR}-02-29",
    )
)
_HOUR = "(?:[01][0-9]|2[0-3])"
_TIME = rf"{_HOUR}:[0-5][0-9]:[0-5][0-9](?:\.[0-9]{{1,9}})?(?:Z|[+-]{_HOUR}:[0-5][0-9])"
_N = "[0-9]{1,9}"
_DAY_TIME = f"T(?:{_N}H(?:{_N}M(?:{_N}S)?)?|{_N}M(?:{_N}S)?|{_N}S)"
_CALENDAR = f"(?:{_N}Y(?:{_N}M(?:{_N}D)?)?|{_N}M(?:{_N}D)?|{_N}D)"
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_ATOM = r"[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,64}"
_FREE = r"[a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2}"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[(?:{_IPV6})\])(?::[0-9]{{1,5}})?"
_PATH = f"(?:{_FREE})+(?:/(?:{_FREE})*)*"
_URI = f"[a-zA-Z][a-zA-Z0-9+.-]*:(?://{_HOST}(?:/(?:{_FREE})*)*|/?{_PATH})"
_AFTER = f"(?:{_FREE}|[/?])*"

_SOURCES: dict[str, tuple[str, int | None]] = {
    "date": (_DATE, None),
    "time": (_TIME, None),
    "date-time": (f"(?:{_DATE})T{_TIME}", None),
    "duration": (f"P(?:{_CALENDAR}(?:{_DAY_TIME})?|{_DAY_TIME}|{_N}W)", None),
    "email": (
        rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+[a-zA-Z][a-zA-Z0-9-]{{0,61}}[a-zA-Z0-9]",
        254,
    ),
    "hostname": (rf"{_LABEL}(?:\.{_LABEL})*", 253),
    "ipv4": (_IPV4, None),
    "ipv6": (_IPV6, None),
    "uuid": ("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", None),
    "uri": (rf"{_URI}(?:\?{_AFTER})?(?:#{_AFTER})?", None),
}
HELD_FORMATS = tuple(_SOURCES)


def format_of(name: str) -> tuple[Pattern, int | None]:
    """Return the expression of a supported format, and the most characters that it may have."""
    source, most = _SOURCES[name]
    (pattern,) = read_patterns(f"^(?:{source})$", name)
    return pattern, most
