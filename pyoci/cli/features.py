"""`pyoci features`."""

import json

from pyoci.base import boot, files
from pyoci.base.context import Context
from pyoci.cli.parse import Options
from pyoci.cli.table import COMMANDS, NAME


def run(context: Context, options: Options) -> int:
    """Print what this build recognizes in a config.json, as the specification's features document."""
    from pyoci.doctor import features

    checkpoint = "checkpoint" in (command[NAME] for command in COMMANDS)
    found = features.document(commit=boot.commit(), checkpoint=checkpoint)
    files.out(json.dumps(found, indent=4) + "\n")
    return 0
