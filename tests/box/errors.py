"""What may go wrong around a box, as one line for a person to read."""


class BoxError(Exception):
    """A box or its witness could not do what was asked; the text says why and what to do."""


class ConsoleTimeout(BoxError):
    """The guest's shell did not answer in time."""
