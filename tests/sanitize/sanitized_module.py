"""A plugin of pytest: puts the sanitized extension of $PYOCI_SANITIZED_MODULE in the place of the one of its name."""

import importlib.util
import os
import sys

import pyoci

_path = os.environ["PYOCI_SANITIZED_MODULE"]
_name = os.path.basename(_path).partition(".")[0]
_found = importlib.util.spec_from_file_location(f"pyoci.{_name}", _path)
assert _found and _found.loader
_module = importlib.util.module_from_spec(_found)
_found.loader.exec_module(_module)
sys.modules[f"pyoci.{_name}"] = _module
vars(pyoci)[_name] = _module
