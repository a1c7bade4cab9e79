"""Plays the scenes of a seed through the rehearsal, and measures what was sent and blocked on the last day."""

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from benchmarks.guard import honest
from benchmarks.guard.attacks import ATTACKS, Scene
from benchmarks.guard.world import DAY, START, WARM_UP_DAYS, World, make_world
from otp_service.guard.rehearsal import Event, Rehearsal, Summary

EARLY_DAYS = 4
"""How many days before the last one a scene can begin."""
LAST_DAY = START + WARM_UP_DAYS * DAY
COUNTED_COUNTRY = 50
"""Honest requests of the day from which on a country's share counts."""


@dataclass
class Result:
    """What happened in a scene."""

    attack: int = 0
    attack_sent: int = 0
    honest: int = 0
    honest_blocked: int = 0
    worst_country: float = 0.0
    rules: Counter[str] = field(default_factory=Counter)
    """Honest requests blocked, by the kinds of rows of the reasons."""


def play_seed(seed: int, names: Sequence[str], strictness: float, traffic: float = 1.0) -> dict[str, Result]:
    """Return the result of each scene; `warm-up`: of the honest days before it, from an empty table on."""
    random = Random(f"world {seed}")  # noqa: S311 - a simulation
    world = make_world(random, traffic)
    rehearsal = Rehearsal(strictness)
    first = EARLY_DAYS * DAY
    warm_up = _play(rehearsal, [], _days(random, world, START, LAST_DAY - first))
    early = (copy.deepcopy(world), _fork(rehearsal))
    late_events = _days(random, world, LAST_DAY - first, LAST_DAY)
    _play(rehearsal, [], late_events)
    results = {"warm-up": warm_up}
    for name in names:
        results[name] = _play_scene(name, seed, (copy.deepcopy(world), _fork(rehearsal)), early[1], late_events)
    return results


def _play_scene(
    name: str, seed: int, late: tuple[World, Rehearsal], early: Rehearsal, late_events: list[Event]
) -> Result:
    world, rehearsal = late
    random = Random(f"{name} {seed}")  # noqa: S311 - a simulation
    scene: Scene = ATTACKS[name](random, world, LAST_DAY)
    usual = honest.day_of(random, world, LAST_DAY, scene.outage, scene.factor) + scene.extra
    if any(event.request.at < LAST_DAY for event in scene.attack):
        rehearsal = _fork(early)
        usual += late_events
    return _play(rehearsal, scene.attack, usual)


def _days(random: Random, world: World, begin: float, end: float) -> list[Event]:
    days = int((end - begin) // DAY)
    return [event for day in range(days) for event in honest.day_of(random, world, begin + day * DAY)]


def _fork(rehearsal: Rehearsal) -> Rehearsal:
    fork = copy.copy(rehearsal)
    fork.rows = dict(rehearsal.rows)
    fork.approvals = list(rehearsal.approvals)
    fork.summary = Summary()
    return fork


def _play(rehearsal: Rehearsal, attack: Iterable[Event], usual: Iterable[Event]) -> Result:
    events = sorted(
        [(event.request.at, 0, index, event) for index, event in enumerate(attack)]
        + [(event.request.at, 1, index, event) for index, event in enumerate(usual)]
    )
    result = Result()
    asked: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for _, is_honest, _, event in events:
        decision = rehearsal.decide(event)
        if not is_honest:
            result.attack += 1
            result.attack_sent += not decision.blocked
        else:
            asked[event.request.country] += 1
            lost[event.request.country] += decision.blocked
            result.rules.update({f"{reason.rule}/{reason.key.kind}" for reason in decision.reasons})
    result.honest, result.honest_blocked = asked.total(), lost.total()
    shares = [lost[region] / count for region, count in asked.items() if count >= COUNTED_COUNTRY]
    result.worst_country = max(shares, default=0.0)
    return result
