"""Amounts as people read them: large numbers, bytes, rates and shares."""


def compact(number: float) -> str:
    """Return a number with at most four digits: `999`, `9,876`, `62.1 k`, `1.9 M`, `12 G`."""
    if number < 10_000:
        return f"{number:,.0f}"
    for unit, size in (("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)):
        scaled = number / size
        if scaled < 999.5:
            return f"{scaled:.1f} {unit}" if scaled < 99.95 else f"{scaled:.0f} {unit}"
    return f"{number / 1e12:,.0f} T"


def size_of(count: int) -> str:
    """Return a number of bytes: `512 B`, `1.5 kB`, `23 MB`."""
    if count < 1000:
        return f"{count} B"
    for unit, size in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12)):
        scaled = count / size
        if scaled < 999.5:
            return f"{scaled:.1f} {unit}" if scaled < 9.95 else f"{scaled:.0f} {unit}"
    return f"{count / 1e12:,.0f} TB"


def rate_of(per_second: float) -> str:
    """Return a rate without its unit: `0.42`, `8.5`, `4,812`."""
    if per_second < 1:
        return f"{per_second:.2f}"
    return f"{per_second:.1f}" if per_second < 10 else compact(per_second)


def percent(share: float) -> str:
    """Return a share as a percentage that is 100 % only if it is whole, and 0 % only if it is nothing."""
    if share >= 1:
        return "100 %"
    whole = int(share * 100)
    return "< 1 %" if whole == 0 and share > 0 else f"{whole} %"


def plural(count: int, one: str, several: str = "") -> str:
    """Return a count with its noun: `1 chunk`, `3 chunks`."""
    return f"{count:,} {one}" if count == 1 else f"{count:,} {several or one + 's'}"
