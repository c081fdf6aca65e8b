"""``make bench``: measure the goals, each beside its yardstick, and tell."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: Seconds of looking at how busy the machine is with something else.
LOOK = 5.0
GOALS = (
    "P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "P10", "phases", "prune", "pump",
    "pools", "telemetry", "disk",
)  # fmt: skip


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
    parser.add_argument(
        "--docs", type=Path, nargs="?", const=DOCS, help="write the docs, or a copy of them"
    )
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
    from tests.bench import report, stage
    from tests.bench.document import document
    from tests.bench.run import FULL, SMALL, Run, resized
    from tests.bench.watching import busy

    stage.migrate()
    scale = resized(FULL if options.scale == "full" else SMALL, options.set)
    run = Run(stage.Stage(folder), scale, options.repeat, certificate, bundle)
    about: dict[str, Any] = {
        **report.machine(), "scale": " ".join([options.scale, *options.set]),
        "repeat": options.repeat, "busy": {"before": busy(LOOK)}, "seconds": {},
    }  # fmt: skip
    figures = _measured(run, about, options)
    about["busy"]["after"] = busy(LOOK)
    report.write_json(options.json, figures, about)
    if options.docs:
        document(options.json, options.docs)
    print(f"Everything measured: {options.json}")


def _measured(run: Any, about: dict[str, Any], options: argparse.Namespace) -> list[Any]:
    """Run the goals, and tell what each came to as soon as it is known."""
    from rich.console import Console

    from tests.bench import report

    console = Console(width=200 if not Console().is_terminal else None)
    console.print(about)
    figures: list[Any] = []
    for name, goal in _goals().items():
        if name in options.only:
            start = time.monotonic()
            found = list(goal(run))
            figures += found
            about["seconds"][name] = round(time.monotonic() - start)
            console.print(f"{name}: {about['seconds'][name]} s")
            report.table(found, console)
            # As far as it got, should a later one fail.
            report.write_json(options.json, figures, about)
    return figures


def _goals() -> dict[str, Callable[..., Iterator[object]]]:
    from tests.bench import (
        disk,
        ledger,
        neighbours,
        phases,
        pools,
        pruning,
        pump,
        saving,
        slow,
        telemetry,
        throughput,
        waiting,
    )

    found = (
        throughput.p1, throughput.p2, saving.p3, saving.p4, throughput.p5,
        ledger.p6, waiting.p7, waiting.p8, neighbours.p9, slow.p10, phases.phases,
        pruning.prune, pump.pump, pools.pools, telemetry.telemetry, disk.disk,
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
