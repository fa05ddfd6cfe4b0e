"""Untrusted chat templates render correctly, or fail soon and with little memory."""

import resource
import time
from datetime import datetime

import pytest

from mining.node.llm.templates import MAX_S, Template, TemplateFails

BOMBS = {
    "nested loops": "{% for a in range(99999) %}"
    "{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "silent loops": "{% set r = range(99999) %}"
    "{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}",
    "a product": "{{ 'a' * 10**9 }}",
    "a product of lists": "{{ [1] * 10**9 }}",
    "doubling": "{% set n = namespace(s='aaaa') %}"
    "{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "doubling by ~": "{% set n = namespace(s='aaaa') %}"
    "{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "a width": "{{ 'a' | center(10**10) }}",
    "a format": "{{ '%1000000000d' | format(1) }}",
    "a remainder": "{{ '%1000000000d' % 1 }}",
    "a method's format": "{{ '{:1000000000d}'.format(1) }}",
    "a method's width": "{{ 'a'.ljust(10**10) }}",
    "replacing": "{{ ('a' * 1000).replace('a', 'b' * 190000) }}",
    "joining": "{{ ('a' * 190000).join(('b' * 190000) | list) }}",
    "macros": "{% macro m(n) %}{{ m(n + 1) }}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    "recursion": "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "a block": "{% set x %}{% for i in range(9999) %}{{ 'a' * 1000 }}{% endfor %}{% endset %}",
    "a power": "{{ (10 ** 9) ** (10 ** 9) }}",
    "white space": "{{ messages | tojson(indent=10**9) }}",
    "a division": "{{ 1 / 0 }}",
    "what is private": "{{ messages.__class__.__mro__ }}",
    "no template": "{% if %}",
    "brackets": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "size": "x" * 10**6,
}


def said(source: str) -> str:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    template = Template(source, bos_text="<s>", eos_text="</s>", today=datetime(2024, 7, 26))
    return template.render(messages)


@pytest.mark.parametrize("name", BOMBS)
def test_a_template_that_asks_for_too_much_fails_soon(name: str) -> None:
    started = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TemplateFails):
        said(BOMBS[name])
    assert time.process_time() - started < 6 * MAX_S  # on a busy machine too
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% for m in messages %}[{{ m['role'] ~ ': ' ~ m.content }}]{% endfor %}", None),
        ("{{ bos_token + messages[0]['content'].upper() + eos_token }}", "<s>HI</s>"),
        ("{{ '%s-%s' % (messages | length, 7 % 4) }}", "2-3"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}{{ m('b') }}", "<1><b>"),
        ("{{ messages | map(attribute='role') | join(', ') }}", "user, assistant"),
        ("{{ 'a-b'.split('-') | join('+') }}{{ '-' * 3 }}{{ 2 ** 8 }}", "a+b---256"),
        ("{{ messages[0] | tojson }}", '{"role": "user", "content": "hi"}'),
        ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),
        ("{% if add_generation_prompt %}go{% endif %}{{ 'x' | indent(2) | trim }}", "gox"),
    ],
)
def test_what_a_template_has_to_say_it_says(source: str, text: str | None) -> None:
    assert said(source) == (text or "[user: hi][assistant: ho]")
