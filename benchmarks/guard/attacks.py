"""Attacks, and honest days that look like one: each returns the events of the last days, attack and honest apart."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from benchmarks.guard import honest
from benchmarks.guard.honest import Outage
from benchmarks.guard.world import ALL_PLANS, DAY, PUMPED, Client, World, make_country, noise, poisson
from otp_service.guard.rehearsal import Event
from otp_service.guard.requests import Request


@dataclass
class Scene:
    """What is added to the last days: attacking and honest events, an outage, more traffic."""

    attack: list[Event] = field(default_factory=list)
    extra: list[Event] = field(default_factory=list)
    outage: Outage = honest.NO_OUTAGE
    factor: float = 1.0


def _client(random: Random, world: World) -> Client:
    """Return the client that is attacked: any, the large ones more often."""
    return random.choices(world.clients, [sum(client.daily.values()) for client in world.clients])[0]


def _main_country(client: Client) -> str:
    return max(client.daily, key=lambda region: client.daily[region])


def _blocks(random: Random, region: str, count: int) -> list[str]:
    calling_code, leading, digits, _ = ALL_PLANS[region]
    carrier = random.choice(leading)
    return [f"+{calling_code}{carrier}{random.randrange(10 ** (digits - 4)):0{digits - 4}d}" for _ in range(count)]


def _times(random: Random, start: float, count: int, hours: tuple[float, float]) -> list[float]:
    length = min(23.5, random.uniform(*hours)) * 3600
    begin = start + random.uniform(0, DAY - length)
    return sorted(begin + random.random() * length for _ in range(count))


def _bot(random: Random) -> str:
    return f"185.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(256)}"


def _ask(
    random: Random, client: str, region: str, number: str, at: float, converts: float, address: str | None = None
) -> Event:
    after = random.uniform(8, 60) if random.random() < converts else None
    return Event(Request(at, client, number, region, address or _bot(random)), after)


def _pump(
    random: Random,
    client: Client,
    places: Sequence[tuple[str, str]],
    times: Sequence[float],
    converts: float = 0.0,
) -> Iterator[Event]:
    """Yield a message at each time, to random numbers of the blocks: (region, block)."""
    for at in times:
        region, block = random.choice(places)
        yield _ask(random, client.name, region, f"{block}{random.randrange(10_000):04d}", at, converts)


def _places(random: Random, regions: Sequence[str], blocks: int) -> list[tuple[str, str]]:
    return [(region, block) for region in regions for block in _blocks(random, region, blocks)]


def sequential(random: Random, world: World, start: float) -> Scene:
    """Numbers of one range, one after the other, from a few addresses."""
    client = _client(random, world)
    region = random.choice(sorted(PUMPED))
    (block,) = _blocks(random, region, 1)
    addresses = [_bot(random) for _ in range(random.randint(1, 5))]
    times = _times(random, start, random.randint(1500, 5000), (2, 20))
    return Scene(
        [
            _ask(random, client.name, region, f"{block}{index:04d}", at, 0.01, random.choice(addresses))
            for index, at in enumerate(times)
        ]
    )


def many_countries(random: Random, world: World, start: float) -> Scene:
    """A few ranges in each of many countries."""
    regions = random.sample(sorted(ALL_PLANS), random.randint(15, 40))
    places = _places(random, regions, random.randint(1, 4))
    times = _times(random, start, random.randint(2000, 5000), (4, 23))
    return Scene([*_pump(random, _client(random, world), places, times, random.uniform(0, 0.05))])


def slow(random: Random, world: World, start: float) -> Scene:
    """Few messages an hour, all day."""
    regions = random.sample(sorted(ALL_PLANS), random.randint(1, 3))
    times = _times(random, start, random.randint(400, 1000), (23, 23.5))
    return Scene([*_pump(random, _client(random, world), _places(random, regions, random.randint(2, 6)), times, 0.01)])


def botnet(random: Random, world: World, start: float) -> Scene:
    """Many addresses, many ranges of a few countries."""
    regions = random.sample(sorted(PUMPED), random.randint(1, 4))
    times = _times(random, start, random.randint(2500, 8000), (2, 20))
    places = _places(random, regions, random.randint(15, 80))
    return Scene([*_pump(random, _client(random, world), places, times, random.uniform(0, 0.05))])


def faked_half(random: Random, world: World, start: float) -> Scene:
    """Ranges whose owner answers half of the messages."""
    regions = random.sample(sorted(ALL_PLANS), random.randint(1, 3))
    times = _times(random, start, random.randint(3000, 8000), (4, 22))
    places = _places(random, regions, random.randint(2, 20))
    return Scene([*_pump(random, _client(random, world), places, times, random.uniform(0.45, 0.55))])


def inflated(random: Random, world: World, start: float) -> Scene:
    """One client inflates its honest country, in some ranges, and answers 70 %."""
    client = _client(random, world)
    region = _main_country(client)
    times = _times(random, start, int(random.uniform(5, 12) * client.daily[region]) + 2500, (6, 23))
    places = _places(random, [region], random.randint(3, 40))
    return Scene([*_pump(random, client, places, times, 0.7)])


def inflated_home(random: Random, world: World, start: float) -> Scene:
    """The same with numbers out of the blocks where the client's people live."""
    client = _client(random, world)
    country = world.countries[_main_country(client)]
    times = _times(random, start, int(random.uniform(5, 12) * client.daily[country.region]) + 2500, (6, 23))
    return Scene([_ask(random, client.name, country.region, country.number(random), at, 0.7) for at in times])


def five_days(random: Random, world: World, start: float) -> Scene:
    """A botnet that takes its time: a little more on each of five days."""
    client = _client(random, world)
    places = _places(random, random.sample(sorted(PUMPED), 2), 25)
    return Scene(
        [
            event
            for day in range(5)
            for event in _pump(
                random, client, places, _times(random, start - (4 - day) * DAY, 300 * (day + 1), (10, 20)), 0.2
            )
        ]
    )


def warmed_up(random: Random, world: World, start: float) -> Scene:
    """Ranges that converted well for four days before they are pumped."""
    client = _client(random, world)
    places = _places(random, random.sample(sorted(PUMPED), 2), 5)
    early = [
        event
        for day in range(1, 5)
        for event in _pump(random, client, places, _times(random, start - day * DAY, 40, (10, 20)), 0.9)
    ]
    times = _times(random, start, 3000, (4, 20))
    return Scene([*early, *_pump(random, client, places, times, 0.02)])


def hopping(random: Random, world: World, start: float) -> Scene:
    """A new range every few messages."""
    client = _client(random, world)
    times = _times(random, start, 3000, (4, 20))
    regions = random.sample(sorted(ALL_PLANS), 5)
    events = []
    for index in range(0, len(times), 8):
        places = _places(random, [random.choice(regions)], 1)
        events += [*_pump(random, client, places, times[index : index + 8], 0.1)]
    return Scene(events)


def mixed_home(random: Random, world: World, start: float) -> Scene:
    """Ranges in the client's own countries."""
    client = _client(random, world)
    times = _times(random, start, 3000, (4, 20))
    return Scene([*_pump(random, client, _places(random, sorted(client.daily), 15), times, 0.05)])


def home_blocks(random: Random, world: World, start: float) -> Scene:
    """Numbers out of the blocks where the client's people live."""
    client = _client(random, world)
    country = world.countries[_main_country(client)]
    times = _times(random, start, 3000, (4, 20))
    return Scene(
        [_ask(random, client.name, country.region, country.number(random), at, 0.05) for at in times],
    )


def own_cards(random: Random, world: World, start: float) -> Scene:
    """Three hundred SIM cards that answer sometimes, asked for again and again."""
    client = _client(random, world)
    region = random.choice(sorted(PUMPED))
    cards = [f"{block}{random.randrange(10_000):04d}" for block in _blocks(random, region, 30) for _ in range(10)]
    times = _times(random, start, 3000, (6, 22))
    return Scene([_ask(random, client.name, region, random.choice(cards), at, 0.4) for at in times])


def none(_: Random, __: World, ___: float) -> Scene:
    """A day like the others."""
    return Scene()


def launch(random: Random, world: World, start: float) -> Scene:
    """A client begins in a country that is new to everybody."""
    client = _client(random, world)
    country = make_country(random, random.choice(sorted(PUMPED)), random.uniform(20, 500))
    daily = random.uniform(60, 160)
    return Scene(extra=[*honest.traffic(random, world, client, country, start, daily)])


def outage(random: Random, world: World, start: float) -> Scene:
    """The gateway delivers nothing for half an hour to six hours."""
    begin = start + random.uniform(2, 17) * 3600
    del world
    return Scene(outage=Outage(begin, begin + random.uniform(0.5, 6) * 3600))


def carrier_outage(random: Random, world: World, start: float) -> Scene:
    """One carrier of a country delivers nothing for one to four hours."""
    client = _client(random, world)
    calling_code, leading, _, _ = ALL_PLANS[_main_country(client)]
    begin = start + random.uniform(2, 19) * 3600
    return Scene(
        outage=Outage(begin, begin + random.uniform(1, 4) * 3600, (f"+{calling_code}{random.choice(leading)}",))
    )


def campaign(random: Random, world: World, start: float) -> Scene:
    """A client's country has three times its traffic for a few hours, of new people."""
    client = _client(random, world)
    region = _main_country(client)
    usual = client.daily[region] / 24
    begin = start + random.uniform(12, 18) * 3600
    return Scene(
        extra=[
            event
            for hour in range(random.randint(2, 5))
            for _ in range(poisson(random, 3 * usual * noise(random, 0.2)))
            for event in honest.person(random, client, world.countries[region], begin + (hour + random.random()) * 3600)
        ]
    )


def new_client(random: Random, world: World, start: float) -> Scene:
    """A client that nobody has seen before begins, in countries of others."""
    regions = random.sample(sorted(world.countries), random.randint(1, 3))
    conversion = {region: random.uniform(0.6, 0.88) for region in regions}
    client = Client("newcomer", {}, conversion, 0.2, knows_addresses=True)
    daily = random.uniform(100, 800) / len(regions)
    return Scene(
        extra=[
            event
            for region in regions
            for event in honest.traffic(random, world, client, world.countries[region], start, daily)
        ]
    )


def doubled(_: Random, __: World, ___: float) -> Scene:
    """Every client has twice its traffic."""
    return Scene(factor=2.0)


ATTACKS: dict[str, Callable[[Random, World, float], Scene]] = {
    scene.__name__: scene
    for scene in (
        *(sequential, many_countries, slow, botnet),
        *(faked_half, inflated),
        *(five_days, warmed_up, hopping, mixed_home, home_blocks, inflated_home, own_cards),
        *(none, launch, outage, carrier_outage, campaign, new_client, doubled),
    )
}
