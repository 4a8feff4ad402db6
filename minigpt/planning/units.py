"""Large numbers as a person reads them."""

SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
TIMES = ((365.25 * 86_400, "years"), (86_400, "days"), (3600, "hours"), (60, "minutes"))


def size_text(n_bytes: float) -> str:
    """Return a number of bytes with three figures, in powers of a thousand: 1.23 GB."""
    return scaled(n_bytes, SIZES, "bytes")


def time_text(seconds: float) -> str:
    """Return a time in the largest unit that it fills: 2.5 hours."""
    return scaled(seconds, TIMES, "seconds")


def scaled(number: float, units: tuple[tuple[float, str], ...], smallest: str) -> str:
    """Return a number in the first unit of which it is at least one, or in the smallest."""
    size, unit = next(((size, unit) for size, unit in units if number >= size), (1, smallest))
    amount = number / size
    return f"{amount:.0f} {unit}" if amount >= 100 or (unit == smallest and amount >= 10) else f"{amount:.3g} {unit}"
