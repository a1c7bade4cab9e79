"""A small day of the simulation: the attack is stopped, and honest people are not."""

from benchmarks.guard.play import play_seed


def test_an_attack_is_stopped_and_honest_people_are_not() -> None:
    result = play_seed(3, ["slow"], 1.0, traffic=0.1)["slow"]
    assert result.attack > 400
    assert result.attack_sent < 0.05 * result.attack
    assert result.honest_blocked <= 0.02 * result.honest
