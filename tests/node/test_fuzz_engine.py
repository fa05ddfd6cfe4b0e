"""A short form of `make fuzz-engine`: a few cases of each kind, and no process dies."""

from tests.fuzz.campaign import KINDS, Campaign


def test_hostile_input_ends_no_process_and_every_error_has_a_name() -> None:
    with Campaign() as campaign:
        for kind, share in KINDS.items():
            for number in range(2 * share):
                campaign.run(kind, number)
        told = campaign.table()
        assert not campaign.died + campaign.hung + campaign.unnamed, told
        assert sum(campaign.outcomes.values()) == 2 * sum(KINDS.values())


def test_a_case_that_ends_its_process_is_counted_and_the_next_one_runs() -> None:
    with Campaign() as campaign:
        assert campaign.run("abort", 1).startswith("died")
        assert campaign.run("tokens", 1) in ("ok", "refused")
        assert campaign.died == ["abort:1"]
