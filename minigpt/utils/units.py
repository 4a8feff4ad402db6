"""Large numbers as a person reads them."""

BYTE_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


TIME_UNITS = ((365.25 * 86_400, "years"), (86_400, "days"), (3600, "hours"), (60, "minutes"))


def format_bytes(n_bytes: float) -> str:
    """Return a number of bytes with three figures, in powers of a thousand: 1.23 GB."""
    return _scaled(n_bytes, BYTE_UNITS, "bytes")


def format_duration(seconds: float) -> str:
    """Return a time in the largest unit that it fills: 2.5 hours."""
    return _scaled(seconds, TIME_UNITS, "seconds")


def _scaled(number: float, units: tuple[tuple[float, str], ...], smallest: str) -> str:
    """Return a number in the first unit of which it is at least one, or in the smallest."""
    size, unit = next(((size, unit) for size, unit in units if number >= size), (1, smallest))
    amount = number / size
    return f"{amount:.0f} {unit}" if amount >= 100 or (unit == smallest and amount >= 10) else f"{amount:.3g} {unit}"
