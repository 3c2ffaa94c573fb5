"""The wire: what travels between a client and the service. Importable without torch and without anything of ours."""
