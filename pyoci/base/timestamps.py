"""Moments as texts."""

import time


def rfc3339(nanoseconds: int, digits: int) -> str:
    """A moment in UTC as RFC 3339, from the nanoseconds since 1970; `digits` of the second's fraction are shown, 1 to 9."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{f'{fraction:09}'[:digits]}Z"


def now(digits: int) -> str:
    """This moment, as `rfc3339`."""
    return rfc3339(time.time_ns(), digits)
