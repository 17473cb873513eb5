"""Paths by their words alone: nothing is looked up, so what links they lead through is not known."""


def components(path: str) -> list[str]:
    """The names in a path, without empty ones and "."; ".." goes up, and not beyond the start."""
    names: list[str] = []
    for name in path.split("/"):
        if name == "..":
            del names[-1:]
        elif name and name != ".":
            names.append(name)
    return names


def clean(path: str) -> str:
    """A path from the root on, without "//", "." and ".."."""
    return "/" + "/".join(components(path))


def without_dots(path: str) -> str:
    """A path from the root on, without "//" and "."; ".." stays, for a link before it may lead elsewhere."""
    return "/" + "/".join([name for name in path.split("/") if name not in ("", ".")])


def is_within(path: str, place: str) -> bool:
    """Whether a path is another one, or below it; both without "//", "." and ".."."""
    return path == place or path.startswith(place.rstrip("/") + "/")


def slice_path(name: str) -> str:
    """The cgroup of a systemd slice: "a-b.slice" is "/a.slice/a-b.slice", "-.slice" is "" (systemd.slice(5)).

    Raises ValueError for what is no name of a slice.
    """
    stem, dot, rest = name.partition(".slice")
    if not dot or rest or not stem or "/" in stem:
        raise ValueError(name)
    if stem == "-":
        return ""
    path, prefix = "", ""
    for part in stem.split("-"):
        if not part:
            raise ValueError(name)
        prefix += part
        path += f"/{prefix}.slice"
        prefix += "-"
    return path
