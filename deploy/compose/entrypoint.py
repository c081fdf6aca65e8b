"""Secrets come as files: ``NAME_FILE=/run/secrets/x`` sets ``NAME`` to what is in it.

``python entrypoint.py COMMAND …`` reads them and becomes the command.
"""

import os
import sys
from pathlib import Path

SUFFIX, SECRETS = "_FILE", "/run/secrets/"


def read_secrets() -> None:
    """Set the variables; one that is set already is left alone."""
    for name, path in list(os.environ.items()):
        if not (name.endswith(SUFFIX) and path.startswith(SECRETS)):
            continue
        try:
            text = Path(path).read_text().strip()
        except OSError as error:
            raise SystemExit(f"{name}: {error.strerror}: {error.filename}") from error
        os.environ.setdefault(name.removesuffix(SUFFIX), text)


if __name__ == "__main__":
    if not sys.argv[1:]:
        raise SystemExit("A command is missing: entrypoint.py COMMAND …")
    read_secrets()
    os.execvp(sys.argv[1], sys.argv[1:])
