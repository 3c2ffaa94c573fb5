"""The API process: `python -m service.api`."""

import argparse
import os
import signal
import socket
import threading
from collections.abc import Sequence

from service import lifeline
from service.auth import InsecureSettings, check_exposure
from service.settings import Settings, read_settings

GRACE_S = 5
"""How long open requests may go on after SIGTERM."""


def main(arguments: Sequence[str] | None = None) -> None:
    import uvicorn

    from service.app import create_app
    from service.logs import configure_logs

    options = parse(arguments)
    configure_logs()
    settings = read_settings()
    listener = listen(settings) if options.listener is None else socket.socket(fileno=options.listener)
    if options.lifeline is not None:
        lifeline.watch(options.lifeline, _stop)
    config = uvicorn.Config(
        create_app(settings), log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_S, server_header=False
    )
    uvicorn.Server(config).run(sockets=[listener])


def listen(settings: Settings) -> socket.socket:
    """A socket at the address of the settings; ends the process where that is refused, or not safe."""
    try:
        check_exposure(settings)
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except InsecureSettings as error:
        raise SystemExit(str(error)) from error
    except OSError as error:
        where = f"{settings.host} port {settings.port}"
        raise SystemExit(f"Cannot listen on {where} ({error.strerror}); REDIFFUSE_PORT chooses another.") from error


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m service.api", description=__doc__)
    parser.add_argument("--listener", type=int, metavar="FD", help="a listening socket that the supervisor holds open")
    parser.add_argument("--lifeline", type=int, metavar="FD", help="a pipe that the supervisor holds open")
    return parser.parse_args(arguments)


def _stop() -> None:
    """The supervisor is gone: stop in order, or after a while without."""
    threading.Timer(2 * GRACE_S, os._exit, [1]).start()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
