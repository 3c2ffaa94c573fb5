"""The whole service on one machine: `python -m service`."""

import functools
import sys

from service.logs import configure_logs
from service.settings import read_settings
from service.supervisor import Supervisor, announce


def main() -> int:
    configure_logs()
    settings = read_settings()
    supervisor = Supervisor(settings)
    if supervisor.port is not None:
        announce(settings.host, supervisor.port, functools.partial(print, flush=True))
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
