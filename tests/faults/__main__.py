"""Run rows of the fault suite; each in a process of its own, on servers of its own."""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from time import monotonic

from tests.faults.catalogue import Row, rows_for
from tests.faults.report import GUARANTEES, Result, write_json, write_table
from tests.faults.stage import RABBITMQ, VALKEY, stage

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Run what the command line names; 1 if a promise was broken."""
    options = _options()
    if options.docs:
        write_table(GUARANTEES, options.docs)
        return 0
    # Disks and namespaces are given back by whoever ends this in good manners, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    if options.alone:
        (row,) = rows_for(options.row, options.broker)
        result = _run(row, options)
        print(json.dumps(asdict(result)))
        return 0
    results = []
    rows = list(rows_for(options.row, options.broker))
    run = partial(_run_apart, options=options)
    with ThreadPoolExecutor(options.jobs) as pool:
        together = pool.map(run, (row for row in rows if not row.quiet))
        for result in chain(together, map(run, (row for row in rows if row.quiet))):
            results.append(result)
            print(result.line(), flush=True)
            if options.json:
                write_json(options.json, results)
    held = sum(one.held for one in results)
    print(f"{held} passed, {len(results) - held} failed")
    return 0 if results and held == len(results) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--row", type=int, action="append", default=[], help="this row alone")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--broker", choices=[VALKEY, RABBITMQ], default=VALKEY)
    parser.add_argument("--scale", choices=["full", "small"], default="small")
    parser.add_argument("--jobs", type=int, default=1, help="rows that run at once")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--keep", action="store_true", help="keep the logs of rows that held, too")
    parser.add_argument("--docs", type=Path, nargs="+", help="put the figures of these files there")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_apart(row: Row, options: argparse.Namespace) -> Result:
    """Run a row in a process of its own; one that dies is a broken promise, too."""
    folder = Path(tempfile.mkdtemp(prefix=f"doh-row{row.number}-"))
    command = [sys.executable, "-W", "ignore", "-m", "tests.faults", "--alone"]
    command += ["--row", str(row.number), "--seed", str(options.seed), "--folder", str(folder)]
    command += ["--broker", options.broker, "--scale", options.scale]
    print(f"row {row.number:>2} {options.broker}: {row.title} …", file=sys.stderr, flush=True)
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    try:
        result = Result(**json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, TypeError, ValueError):
        result = _empty(row, options)
        result.violations = [f"the row ended with status {done.returncode}: {done.stdout[-300:]}"]
    if result.held and not options.keep:
        subprocess.run(["rm", "-rf", folder], check=True)
    else:
        print(f"logs in {folder}", file=sys.stderr)
    return result


def _empty(row: Row, options: argparse.Namespace) -> Result:
    return Result(row.number, row.title, options.broker, options.scale, options.seed)


def _run(row: Row, options: argparse.Namespace) -> Result:
    """Run a row here: servers first, then Django, then the row."""
    result = _empty(row, options)
    started = monotonic()
    with ExitStack() as stack:
        prepare = row.preparation()
        setting = {} if prepare is None else stack.enter_context(prepare(options.folder))
        place = stack.enter_context(stage(options.folder, options.seed, options.broker, **setting))
        _set_up()
        from tests.faults.world import world

        made = stack.enter_context(world(place, result))
        try:
            row.function()(made)
        except Exception as error:
            traceback.print_exc()
            result.violations.append(f"{type(error).__name__}: {error}"[:500])
    result.seconds = monotonic() - started
    return result


def _set_up() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.worker_settings")
    django.setup()


if __name__ == "__main__":
    sys.exit(main())
