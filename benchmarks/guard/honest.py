"""Honest traffic: people who sign up, return, ask again or give up."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from benchmarks.guard.world import DAY, Client, Country, World, noise, poisson
from otp_service.guard.rehearsal import Event
from otp_service.guard.requests import Request

_WEEK = (1.0, 1.0, 1.05, 1.1, 0.85, 0.7, 0.95)


@dataclass(frozen=True)
class Outage:
    """No message arrives between two times; `prefix`: of the numbers, "" for all."""

    begin: float
    end: float
    prefix: tuple[str, ...] = ("",)

    def holds(self, at: float, number: str) -> bool:
        """Return whether a message is lost."""
        return self.begin <= at < self.end and number.startswith(self.prefix)


NO_OUTAGE = Outage(0, 0)


def day_of(random: Random, world: World, start: float, outage: Outage = NO_OUTAGE, factor: float = 1.0) -> list[Event]:
    """Return the events of all clients on a day, unordered."""
    return [
        event
        for client in world.clients
        for region, daily in client.daily.items()
        for event in traffic(random, world, client, world.countries[region], start, daily * factor, outage)
    ]


def traffic(
    random: Random,
    world: World,
    client: Client,
    country: Country,
    start: float,
    daily: float,
    outage: Outage = NO_OUTAGE,
) -> Iterator[Event]:
    """Yield the events of a client in a country on a day."""
    today = daily * noise(random, 0.25) * _WEEK[int(start // DAY) % 7]
    for hour in range(24):
        local = (hour + country.hours) % 24
        shape = 1 - world.night * math.cos((local - 3) / 24 * 2 * math.pi)
        for _ in range(poisson(random, today / 24 * shape * noise(random, 0.35))):
            at = start + (hour + random.random()) * 3600
            yield from person(random, client, country, at, outage)


def person(random: Random, client: Client, country: Country, at: float, outage: Outage = NO_OUTAGE) -> Iterator[Event]:
    """Yield the messages that one person asks for: one, or up to three."""
    known = client.people.setdefault(country.region, [])
    returns = bool(known) and random.random() < client.returning
    number = random.choice(known) if returns else country.number(random)
    chance = 0.95 if returns else client.conversion[country.region]
    address = _address(random, client, country)
    for _ in range(3):
        arrives = random.random() < chance and not outage.holds(at, number)
        after = min(590.0, 5 + random.lognormvariate(3.1, 0.8)) if arrives else None
        yield Event(Request(at, client.name, number, country.region, address), after)
        if arrives and not returns:
            known.append(number)
        asks_again = random.random() < (0.75 if outage.holds(at, number) else 0.4)
        if arrives or not asks_again:
            return
        at += random.uniform(35, 150)


def _address(random: Random, client: Client, country: Country) -> str | None:
    if not client.knows_addresses:
        return None
    if random.random() < 0.3:
        return random.choice(country.pools)
    return f"{random.randrange(11, 99)}.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(256)}"
