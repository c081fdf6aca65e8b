"""The terminal view: each delivery as it happens, then what came of it all."""

from receivers import Post
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from story import DELIVERIES, Result

_COLOURS = {2: "green", 4: "yellow", 5: "red"}


class View:
    """Prints to a terminal, or plainly to a file."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self._progress = Progress(
            TextColumn("settled"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )
        self._task = self._progress.add_task("settled", total=DELIVERIES)

    def __enter__(self) -> "View":
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(text)

    def watch(self) -> None:
        """Show the progress from now on."""
        self._progress.start()

    def settled(self, number: int) -> None:
        """So many deliveries are settled."""
        self._progress.update(self._task, completed=number)

    def post(self, post: Post) -> None:
        """A receiver got a POST."""
        colour = _COLOURS[post.status // 100]
        signature = "signature ok" if post.verified else "[bold red]BAD SIGNATURE[/]"
        self.console.print(
            f"  {post.event:<25} [cyan]{post.receiver:<8}[/] attempt {post.attempt}"
            f"  [{colour}]{post.status}[/]  {signature}"
        )

    def summary(self, found: Result) -> None:
        """What came of it all."""
        self._progress.stop()
        table = Table(title="What came of it", title_justify="left", show_header=False)
        table.add_column("what")
        table.add_column("number", justify="right")
        verified = sum(post.verified for post in found.posts)
        for what, number in (
            ("delivered at the first attempt", str(found.delivered)),
            ("retried and delivered", str(found.retried)),
            ("hook disabled by 410", str(found.disabled_by_410)),
            ("dead letter", str(found.dead_letters)),
            ("after_deliver(hooks) ran", str(found.collections_remarked)),
            ("after_deliver(response) ran", str(found.responses_remarked)),
            ("signatures verified", f"{verified} of {len(found.posts)}"),
        ):
            table.add_row(what, number)
        self.console.print(table)
