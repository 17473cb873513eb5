"""Version numbers (SemVer 2.0.0), as ociVersion has them."""

KERNEL = "5.14"  # the oldest Linux that has all that we need
OLDEST = "1.0.0"  # the oldest version of the specification whose documents it takes
SPECIFICATION = "1.3.0"  # the version of the specification that this runtime implements


def semver_major(version: str) -> int:
    """The major number of a SemVer 2.0.0 version, or -1 when it is none."""
    core, _, build = version.partition("+")
    core, dash, pre = core.partition("-")
    numbers = core.split(".")
    if len(numbers) != 3 or not all(number.isdecimal() and number.isascii() for number in numbers):
        return -1
    if any(len(number) > 1 and number[0] == "0" for number in numbers):
        return -1
    for mark, label in ((dash, pre), ("+" in version, build)):
        if mark and not all(part and part.replace("-", "a").isalnum() for part in label.split(".")):
            return -1
    return int(numbers[0][:9]) if version.isascii() else -1  # enough to tell it from 1
