"""Readable amounts: large numbers, bytes, rates and shares."""

#: Prefixes of units with their sizes.
_PREFIXES = (("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12))


def compact(number: float) -> str:
    """Return a number with at most four digits: `999`, `9,876`, `62.1 k`, `1.9 M`, `12.0 G`."""
    return f"{number:,.0f}" if number < 10_000 else _scaled(number, "", whole_from=99.95)


def size_of(count: int) -> str:
    """Return a number of bytes: `512 B`, `1.5 kB`, `23 MB`."""
    return f"{count} B" if count < 1000 else _scaled(count, "B", whole_from=9.95)


def rate_of(per_second: float) -> str:
    """Return a rate without its unit: `0.42`, `8.5`, `4,812`."""
    if per_second < 1:
        return f"{per_second:.2f}"
    return f"{per_second:.1f}" if per_second < 10 else compact(per_second)


def percent(share: float) -> str:
    """Return a share as a percentage: 100 % only for exactly 1, and 0 % only for exactly 0."""
    if share >= 1:
        return "100 %"
    whole = int(share * 100)
    return "< 1 %" if whole == 0 and share > 0 else f"{whole} %"


def plural(count: int, one: str, several: str = "") -> str:
    """Return a count with its noun: `1 chunk`, `3 chunks`."""
    return f"{count:,} {one}" if count == 1 else f"{count:,} {several or one + 's'}"


def _scaled(number: float, unit: str, *, whole_from: float) -> str:
    """Return a number of at least 1,000 with the prefix of its unit, with one decimal below `whole_from`."""
    prefix, scaled = next(
        ((prefix, number / size) for prefix, size in _PREFIXES if number / size < 999.5), ("T", number / 1e12)
    )
    return f"{scaled:.1f} {prefix}{unit}" if scaled < whole_from else f"{scaled:,.0f} {prefix}{unit}"
