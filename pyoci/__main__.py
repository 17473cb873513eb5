"""`python -m pyoci`, and what the launchers run: `python -I [-S] .../pyoci/__main__.py`."""

import sys


def _paths() -> None:
    """Make the package and its needs importable: -I leaves out this file's directory, -S the packages."""
    parent = __file__.rpartition("/")[0].rpartition("/")[0]
    if parent not in sys.path:
        sys.path.insert(0, parent)
    if sys.flags.no_site:
        prefix = sys.executable.rpartition("/")[0].rpartition("/")[0]
        packages = f"{prefix}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        if packages not in sys.path:
            sys.path.append(packages)


if __name__ == "__main__":
    _paths()
    from pyoci import boot

    boot.run(sys.argv[1:])
