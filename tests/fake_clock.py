"""A clock for what is given one."""


class FakeClock:
    """The time is what the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now
