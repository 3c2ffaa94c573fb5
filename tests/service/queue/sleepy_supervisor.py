"""The real supervisor over sleepy workers, without an API. Run by the tests as a script."""

import sys

from service.logs import configure_logs
from service.settings import Settings
from service.supervisor import Supervisor

if __name__ == "__main__":
    configure_logs()
    sys.exit(Supervisor(Settings(api=False), worker_module="tests.service.queue.sleepy_worker").run())
