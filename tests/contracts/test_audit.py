"""The audit matches slither's findings with the answers in AUDIT.md."""

from typing import Any

from contracts.audit import ANSWERS, Finding, answers, answers_any, findings, is_answered


def element(kind: str, name: str, parent: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": kind, "name": name, "type_specific_fields": {"parent": parent}}


def test_a_finding_is_about_a_function_even_where_it_names_a_variable_of_it() -> None:
    function = element("function", "settle", element("contract", "Escrow"))
    report = {
        "results": {
            "detectors": [
                {"check": "timestamp", "elements": [function]},
                {"check": "uninitialized-local", "elements": [element("variable", "x", function)]},
            ]
        }
    }
    assert list(findings(report)) == [
        Finding("timestamp", "Escrow.settle"),
        Finding("uninitialized-local", "Escrow.settle"),
    ]


def test_a_row_answers_what_it_names_and_nothing_else() -> None:
    text = "| `timestamp` | `A.f`, `B.g` | of no use |\n| `assembly` | everywhere | safe |\n"
    answered = set(answers(text))
    assert is_answered(Finding("timestamp", "B.g"), answered)
    assert not is_answered(Finding("timestamp", "B.h"), answered)
    assert not is_answered(Finding("weak-prng", "A.f"), answered)
    assert is_answered(Finding("assembly", "C.anything"), answered)


def test_an_answer_without_a_finding_is_told_apart() -> None:
    found = {Finding("timestamp", "A.f")}
    assert answers_any(Finding("timestamp", "everywhere"), found)
    assert not answers_any(Finding("timestamp", "A.g"), found)
    assert not answers_any(Finding("assembly", "everywhere"), found)


def test_the_document_answers_grave_findings_one_by_one() -> None:
    text = ANSWERS.read_text()
    grave = text[text.index("### High and medium") : text.index("### Low and below")]
    places = [answer.place for answer in answers(grave)]
    assert len(places) > 30
    assert "everywhere" not in places
