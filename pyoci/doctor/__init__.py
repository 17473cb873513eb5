"""`pyoci doctor`: what this machine offers to containers, found out by trying, and what dead containers left on it.

One module for each group of checks; each returns a list of `Check`s. Nothing changes the machine, except `leftovers.remove`.
"""

from pyoci.base import files
from pyoci.base.context import Context
from pyoci.doctor import cgroups, kernel, launcher, leftovers, security, show, store, tools, users
from pyoci.doctor.check import Report


def main(context: Context, root: str, *, fmt: str, fix: bool) -> int:
    """Print the report; returns 1 when something is missing that every ordinary container needs, else 0.

    root   the directory of the containers' state
    fmt    "text" or "json"
    fix    remove the leftovers; then 1 is also returned when one can't be removed
    """
    report = examine(context, root)
    if fix:
        for leftover in report.leftovers:
            leftovers.remove(context, root, leftover)
    files.out(show.as_json(report) if fmt == "json" else show.as_text(report))
    failed = any(leftover.failure for leftover in report.leftovers)
    return 0 if report.ready and not failed else 1


def examine(context: Context, root: str) -> Report:
    """All that can be found out."""
    checks = [
        *kernel.checks(),
        *cgroups.checks(),
        *users.checks(),
        *security.checks(),
        *launcher.checks(),
        *tools.checks(),
        *store.checks(root, given=context.root_given),
    ]
    return Report(root, checks, leftovers.find(context, root))
