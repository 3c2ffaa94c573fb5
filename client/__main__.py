"""`python -m client` is the command `rediffuse`."""

from client.cli import app

app(prog_name="rediffuse")
