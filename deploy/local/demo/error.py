"""What ends a demo early."""


class DemoError(Exception):
    """The demo cannot go on, or did not show what it must; the message is one clear line."""
