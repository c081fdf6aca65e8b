"""Marks that stand for what must stay unsaid, and a search for them."""

PAYLOAD = "mark-payload-5b1e"
QUERY = "mark-query-77c0"
PASSWORD = "mark-password-a93d"
HEADER = "mark-header-e20f"


def all_marks(hooks):
    """Every mark by its name; of secrets the part behind the prefix, as in any encoding of them."""
    marks = {"payload": PAYLOAD, "query": QUERY, "password": PASSWORD, "header": HEADER}
    for hook in hooks:
        marks[f"secret of hook {hook.pk}"] = hook.secret.partition("_")[2]
        if hook.old_secrets:
            marks[f"old secret of hook {hook.pk}"] = hook.old_secrets.partition("whsec_")[2][:40]
    return marks


def found(text, marks, but=()):
    """The marks that a text gives away, each with what stands around it."""
    return {
        name: text[max(0, text.index(mark) - 200) : text.index(mark) + 80]
        for name, mark in marks.items()
        if mark in text and name not in but
    }


def target(receiver, path):
    """A URL with a token in its query."""
    return receiver.url(f"{path}{'&' if '?' in path else '?'}token={QUERY}")


def with_password(url):
    """The URL with a user and a password, as nobody may save it any more."""
    return url.replace("http://", f"http://somebody:{PASSWORD}@")
