# The C module behind `signal`; hot modules use it directly.
from signal import *  # noqa: F403
from signal import Handlers as Handlers
from signal import set_wakeup_fd as set_wakeup_fd
