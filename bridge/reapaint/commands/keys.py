"""``reapaint keys``: who may talk to whom beyond this machine."""

from pathlib import Path

from reapaint.commands.terminal import Terminal
from reapaint_engine.protocol import keys


def new(terminal: Terminal) -> None:
    """Make this machine's key pair."""
    path = keys.make_key_pair()
    terminal.say(f"{path}: this machine's public key.")
    terminal.say("Copy it to the other machine and run `reapaint keys trust FILE` there.")
    terminal.result({"ok": True, "public_key": str(path)})


def trust(path: Path, engine: str | None, terminal: Terminal) -> None:
    """Trust a client's key, or that of the engine at an address."""
    kept = keys.trust_engine(path, engine) if engine else keys.trust_client(path)
    whom = f"The engine at {engine}" if engine else f"The client {path.stem}"
    terminal.say(f"{whom} is trusted from now on ({kept}); running engines see it when restarted.")
    terminal.result({"ok": True, "trusted": str(kept)})


def show(terminal: Terminal) -> None:
    """Show the keys of this machine and whom it trusts."""
    own = keys.public_key_path()
    clients, engines = keys.trusted_clients(), keys.trusted_engines()
    terminal.say(f"Own key: {own if own.exists() else 'none; make one with `reapaint keys new`'}")
    for kind, paths in (("client", clients), ("engine", engines)):
        for path in paths:
            terminal.say(f"Trusted {kind}: {path}")
    terminal.result(
        {
            "ok": True,
            "public_key": str(own) if own.exists() else None,
            "clients": [str(path) for path in clients],
            "engines": [str(path) for path in engines],
        }
    )
