"""The simulated world: countries with blocks where people live, and unequal clients."""

import itertools
import math
from dataclasses import dataclass, field
from random import Random

DAY = 86400.0
START = 20_000 * DAY
"""A Thursday."""
WARM_UP_DAYS = 14

PLANS = {
    # region: calling code, leading digits of mobile numbers, digits after them, hours ahead of UTC
    "CO": ("57", ("300", "301", "310", "311", "320"), 7, -5),
    "US": ("1", ("212", "305", "415", "512", "713"), 7, -6),
    "VE": ("58", ("412", "414", "416", "424", "426"), 7, -4),
    "MX": ("52", ("55", "33", "81"), 8, -6),
    "BR": ("55", ("119", "219", "319", "519"), 8, -3),
    "AR": ("54", ("911", "9351", "9341"), 7, -3),
    "CL": ("56", ("95", "96", "97", "99"), 7, -4),
    "PE": ("51", ("94", "95", "97", "98"), 7, -5),
    "EC": ("593", ("98", "99", "96"), 7, -5),
    "PA": ("507", ("61", "62", "65", "66"), 6, -5),
    "ES": ("34", ("60", "62", "65", "68"), 7, 1),
    "GB": ("44", ("74", "75", "77", "78"), 8, 0),
    "FR": ("33", ("61", "62", "66", "76"), 7, 1),
    "DE": ("49", ("151", "160", "171", "176"), 7, 1),
    "IT": ("39", ("33", "34", "38"), 8, 1),
    "PT": ("351", ("91", "92", "96"), 7, 0),
    "PH": ("63", ("917", "918", "927"), 7, 8),
    "NG": ("234", ("803", "806", "813"), 7, 1),
    "IN": ("91", ("98", "97", "99", "88"), 8, 5),
    "ID": ("62", ("811", "812", "813"), 7, 7),
}
PUMPED = {
    "AZ": ("994", ("50", "51", "55"), 7, 4),
    "TJ": ("992", ("91", "92", "93"), 7, 5),
    "UZ": ("998", ("90", "91", "93"), 7, 5),
    "KG": ("996", ("55", "70", "77"), 7, 6),
    "LK": ("94", ("71", "76", "77"), 7, 5),
    "PK": ("92", ("300", "321", "333"), 7, 5),
    "BD": ("880", ("17", "18", "19"), 8, 6),
    "KZ": ("7", ("701", "705", "777"), 7, 5),
    "GE": ("995", ("55", "57", "59"), 7, 4),
    "AM": ("374", ("91", "93", "94"), 6, 4),
    "IQ": ("964", ("770", "780", "750"), 7, 3),
    "YE": ("967", ("71", "73", "77"), 7, 3),
    "SN": ("221", ("76", "77", "78"), 7, 0),
    "ML": ("223", ("66", "76", "79"), 6, 0),
    "GN": ("224", ("62", "66"), 7, 0),
    "CM": ("237", ("67", "69", "65"), 7, 1),
    "KE": ("254", ("71", "72"), 7, 3),
    "TZ": ("255", ("71", "75"), 7, 3),
    "UG": ("256", ("70", "77"), 7, 3),
    "ZM": ("260", ("95", "96", "97"), 7, 2),
    "ZW": ("263", ("71", "77"), 7, 2),
    "MM": ("95", ("92", "94"), 7, 6),
    "KH": ("855", ("12", "92"), 6, 7),
    "NP": ("977", ("980", "984"), 7, 5),
    "AF": ("93", ("70", "77", "79"), 7, 4),
    "DZ": ("213", ("55", "66", "77"), 7, 1),
    "TN": ("216", ("20", "50", "98"), 6, 1),
    "LY": ("218", ("91", "92"), 7, 2),
    "CU": ("53", ("52", "53", "54"), 6, -5),
    "HT": ("509", ("34", "36", "37"), 6, -5),
}
ALL_PLANS = PLANS | PUMPED


def poisson(random: Random, mean: float) -> int:
    """Return a Poisson number."""
    if mean > 30:
        return max(0, round(random.gauss(mean, math.sqrt(mean))))
    count, product, floor = 0, random.random(), math.exp(-mean)
    while product > floor:
        count += 1
        product *= random.random()
    return count


def noise(random: Random, spread: float) -> float:
    """Return a factor with mean 1 and this deviation."""
    return random.gammavariate(1 / spread**2, spread**2)


@dataclass
class Country:
    """Where people live: `blocks` of ten thousand numbers, by carrier, some fuller than others."""

    region: str
    blocks: list[str]
    fullness: list[float]
    pools: list[str]
    """Addresses that many people share."""
    hours: int

    def number(self, random: Random) -> str:
        """Return the number of somebody who lives here."""
        return f"{random.choices(self.blocks, cum_weights=self.fullness)[0]}{random.randrange(10_000):04d}"


@dataclass
class Client:
    """An application: messages a day and conversion by country, and who returns."""

    name: str
    daily: dict[str, float]
    conversion: dict[str, float]
    returning: float
    knows_addresses: bool
    people: dict[str, list[str]] = field(default_factory=dict)
    """Approved numbers by country."""


@dataclass
class World:
    """Countries and clients of one seed."""

    countries: dict[str, Country]
    clients: list[Client]
    night: float
    """How much less is asked for at night, 0 to 1."""


def make_world(random: Random, traffic: float = 1.0) -> World:
    """Return a world of fourteen countries and eight clients."""
    regions = random.sample(sorted(PLANS), 14)
    countries = {region: make_country(random, region, 10 ** random.uniform(1.3, 3.3)) for region in regions}
    clients = [_make_client(random, f"client-{index}", regions, traffic) for index in range(8)]
    return World(countries, clients, random.uniform(0.6, 0.95))


def make_country(random: Random, region: str, blocks: float) -> Country:
    """Return a country whose people live in so many blocks."""
    calling_code, leading, digits, hours = ALL_PLANS[region]
    chosen = {
        f"+{calling_code}{random.choice(leading)}{random.randrange(10 ** (digits - 4)):0{digits - 4}d}"
        for _ in range(int(blocks))
    }
    weights = [random.paretovariate(1.5) for _ in chosen]
    fullness = list(itertools.accumulate(weights))
    pools = [f"100.{random.randrange(256)}.{random.randrange(256)}.{index}" for index in range(random.randint(3, 60))]
    return Country(region, sorted(chosen), fullness, pools, hours)


def _make_client(random: Random, name: str, regions: list[str], traffic: float) -> Client:
    size = traffic * min(1500.0, 120 * random.lognormvariate(0, 1.2))
    some = random.sample(regions, random.randint(2, 8))
    shares = [random.paretovariate(0.7) for _ in some]
    base = random.uniform(0.62, 0.88)
    return Client(
        name,
        {region: size * share / sum(shares) for region, share in zip(some, shares, strict=True)},
        {region: min(0.93, max(0.45, random.gauss(base, 0.07))) for region in [*regions, *PUMPED, *PLANS]},
        random.uniform(0.3, 0.7),
        random.random() < 0.8,
    )
