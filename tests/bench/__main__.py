"""``make bench``: measure the goals, each beside its yardstick, and tell."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOALS = ("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "P10", "prune", "pump", "pools")


def main() -> None:
    """Run what was asked for; the exit status says whether it ran, not whether goals are met."""
    options = _options()
    work = ROOT / ".demo"
    work.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        _run(Path(folder).resolve(), options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(GOALS), help="goals, such as P1,P3")
    parser.add_argument("--repeat", type=int, default=5, help="measurements of each figure")
    parser.add_argument("--scale", choices=("full", "small"), default="full")
    parser.add_argument("--set", action="append", default=[], help="one size, such as slow=5000")
    parser.add_argument("--json", type=Path, default=ROOT / ".demo" / "bench.json")
    parser.add_argument("--docs", action="store_true", help="write docs/performance.json and plots")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = set(options.only) - set(GOALS)
    if unknown:
        parser.error(f"no such goals: {', '.join(sorted(unknown))}; there are {', '.join(GOALS)}")
    return options


def _run(folder: Path, options: argparse.Namespace) -> None:
    certificate, bundle = _certificates(folder)
    os.environ["BENCH_CA_BUNDLE"] = str(bundle)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.settings"
    import django
    import project  # noqa: F401 - its Celery app is the current one

    django.setup()
    from rich.console import Console

    from tests.bench import plots, report, stage
    from tests.bench.run import FULL, SMALL, Run, resized

    stage.migrate()
    scale = resized(FULL if options.scale == "full" else SMALL, options.set)
    run = Run(stage.Stage(folder), scale, options.repeat, certificate, bundle)
    console = Console(width=200 if not Console().is_terminal else None)
    about = {
        **report.machine(),
        "scale": " ".join([options.scale, *options.set]),
        "repeat": options.repeat,
    }
    console.print(about)
    figures = []
    for name, goal in _goals().items():
        if name in options.only:
            start = time.monotonic()
            found = list(goal(run))
            figures += found
            console.print(f"{name}: {time.monotonic() - start:.0f} s")
            report.table(found, console)
            # As far as it got, should a later one fail.
            report.write_json(options.json, figures, about)
    if options.docs:
        plots.draw(ROOT / "docs" / "img", figures)
        report.write_json(ROOT / "docs" / "img" / "performance.json", figures, about)
        print(report.markdown(figures))
    console.print(f"Everything measured: {options.json}")


def _goals() -> dict[str, Callable[..., Iterator[object]]]:
    from tests.bench import (
        ledger,
        neighbours,
        pools,
        pruning,
        pump,
        saving,
        slow,
        throughput,
        waiting,
    )

    found = (
        throughput.p1, throughput.p2, saving.p3, saving.p4, throughput.p5,
        ledger.p6, waiting.p7, waiting.p8, neighbours.p9, slow.p10, pruning.prune,
        pump.pump, pools.pools,
    )  # fmt: skip
    return dict(zip(GOALS, found, strict=True))


def _certificates(folder: Path) -> tuple[Path, Path]:
    """A certificate for every receiver, and a bundle of the usual authorities and ours."""
    import certifi
    import trustme

    from tests.bench.receiver import address

    authority = trustme.CA()
    leaf = authority.issue_cert(*(address(number) for number in range(1_000)))
    certificate, bundle = folder / "receiver.pem", folder / "authorities.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(str(certificate))
    usual = Path(certifi.where()).read_bytes()
    bundle.write_bytes(usual + authority.cert_pem.bytes())
    return certificate, bundle


if __name__ == "__main__":
    main()
