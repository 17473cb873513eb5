# The cffi module made from csrc/: its functions and constants are declared in csrc/plan.h and csrc/shim/*.h.
from typing import Any

ffi: Any
lib: Any
