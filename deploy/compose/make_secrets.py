"""Make the secrets that ``compose.yaml`` reads: ``python3 make_secrets.py [--broker rabbitmq]``.

Each is a file below ``secrets``. One that exists is kept, but for the addresses, which are written
anew; nothing but Python's own library is needed.
"""

import argparse
import base64
import os
import secrets
from pathlib import Path

FOLDER = Path(__file__).parent / "secrets"


def kept(folder: Path, name: str, text: str) -> str:
    """What a secret's file holds; made with a text if it is not there."""
    path = folder / name
    if not path.exists():
        written(folder, name, text)
    return path.read_text()


def written(folder: Path, name: str, text: str) -> None:
    """Write a file for the group too: a container's user is another than the host's."""
    path = folder / name
    path.write_text(text)
    path.chmod(0o644)


def make(folder: Path, broker: str) -> None:
    """Make what is missing."""
    folder.mkdir(mode=0o711, exist_ok=True)
    kept(folder, "secret_key", secrets.token_urlsafe(50))
    kept(folder, "encryption_keys", base64.urlsafe_b64encode(os.urandom(32)).decode())
    kept(folder, "flower", f"admin:{secrets.token_urlsafe(12)}\n")
    database = kept(folder, "postgres_password", secrets.token_urlsafe(24))
    valkey = kept(folder, "valkey_password", secrets.token_urlsafe(24))
    rabbitmq = kept(folder, "rabbitmq_password", secrets.token_urlsafe(24))
    redis = f"redis://:{valkey}@valkey:6379/0"
    written(folder, "database_url", f"postgres://doh:{database}@postgres:5432/doh")
    written(folder, "redis_url", redis)
    amqp = f"amqp://doh:{rabbitmq}@rabbitmq:5672//"
    written(folder, "broker_url", amqp if broker == "rabbitmq" else redis)
    # RabbitMQ reads no secret of its own: a piece of its configuration names the user.
    written(folder, "rabbitmq.conf", f"default_user = doh\ndefault_pass = {rabbitmq}\n")


def main() -> None:
    """Make them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", choices=["valkey", "rabbitmq"], default="valkey")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    given = parser.parse_args()
    make(given.folder, given.broker)
    print(f"The secrets are in {given.folder}; Flower's login is in its file flower.")


if __name__ == "__main__":
    main()
