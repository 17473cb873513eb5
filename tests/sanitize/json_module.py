"""A plugin of pytest: puts the sanitized module of $PYOCI_JSON_MODULE in the place of `pyoci._json`."""

import importlib.util
import os
import sys

import pyoci

_found = importlib.util.spec_from_file_location("pyoci._json", os.environ["PYOCI_JSON_MODULE"])
assert _found and _found.loader
_module = importlib.util.module_from_spec(_found)
_found.loader.exec_module(_module)
sys.modules["pyoci._json"] = _module
vars(pyoci)["_json"] = _module
