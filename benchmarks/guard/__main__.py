"""`python -m benchmarks.guard`: what the guard sends of each attack, and what it blocks of honest traffic."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from multiprocessing import Pool

import click

from benchmarks.guard.attacks import ATTACKS
from benchmarks.guard.play import Result, play_seed

PRICE = 0.05


@click.command()
@click.option("--seeds", default=4, show_default=True, help="How many worlds.")
@click.option("--first", default=1, show_default=True, help="The first seed.")
@click.option("--strictness", default=1.0, show_default=True)
@click.option("--attack", "names", multiple=True, type=click.Choice([*ATTACKS]), help="Only this one; repeatable.")
@click.option("--processes", default=2, show_default=True)
@click.option("--traffic", default=1.0, show_default=True, help="How much honest traffic, compared with the usual.")
@click.option("--verbose", is_flag=True, help="Show each seed, and which rules blocked honest requests.")
def main(
    *, seeds: int, first: int, strictness: float, names: Sequence[str], processes: int, traffic: float, verbose: bool
) -> None:
    """Play every attack in several worlds and print a table."""
    play = partial(play_seed, names=names or [*ATTACKS], strictness=strictness, traffic=traffic)
    with Pool(processes) as pool:
        found = pool.map(play, range(first, first + seeds), chunksize=1)
    head = f"{'attack':15} {'messages':>9} {'sent':>7} {'worst':>7} {'money':>8}"
    click.echo(f"{head} | {'honest':>7} {'blocked':>8} {'worst':>7} {'country':>8}")
    for name in found[0]:
        results = [each[name] for each in found]
        click.echo(_line(name, results))
        if verbose:
            shares = " ".join(f"{100 * _share(each.attack_sent, each.attack):.1f}" for each in results)
            lost = " ".join(f"{100 * _share(each.honest_blocked, each.honest):.2f}" for each in results)
            rules = sum((each.rules for each in results), Counter[str]())
            click.echo(f"    sent {shares} | blocked {lost} | {dict(rules.most_common(6))}")


def _line(name: str, results: Sequence[Result]) -> str:
    attack, sent = sum(each.attack for each in results), sum(each.attack_sent for each in results)
    honest, blocked = sum(each.honest for each in results), sum(each.honest_blocked for each in results)
    worst_sent = max(_share(each.attack_sent, each.attack) for each in results)
    worst_blocked = max(_share(each.honest_blocked, each.honest) for each in results)
    country = max(each.worst_country for each in results)
    return (
        f"{name:15} {attack:9} {_share(sent, attack):7.1%} {worst_sent:7.1%} {sent * PRICE:8.2f}"
        f" | {honest:7} {_share(blocked, honest):8.2%} {worst_blocked:7.2%} {country:8.1%}"
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


if __name__ == "__main__":
    main()
