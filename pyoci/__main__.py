"""`python -m pyoci`, and what the launchers run: `python -I [-S] .../pyoci/__main__.py`."""

import sys


def _paths() -> None:
    """Make the package and its needs importable: -I leaves out this file's directory, -S the packages."""
    parent = __file__.rpartition("/")[0].rpartition("/")[0]
    if parent not in sys.path:
        sys.path.insert(0, parent)
    if not sys.flags.no_site:
        return
    prefix = sys.executable.rpartition("/")[0].rpartition("/")[0]
    packages = f"{prefix}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    if packages not in sys.path:
        sys.path.append(packages)
    if not (_has_cffi(parent) or _has_cffi(packages)):
        from pyoci.base import boot

        boot.go_full([])  # site knows of more places, such as Debian's dist-packages


def _has_cffi(directory: str) -> bool:
    import _imp
    import posix

    try:
        posix.stat(f"{directory}/_cffi_backend{_imp.extension_suffixes()[0]}")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    _paths()
    from pyoci.cli import program, refusal

    program.run(*refusal.received(sys.argv[1:]))
