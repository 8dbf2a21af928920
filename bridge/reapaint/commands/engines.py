"""``status``, ``cancel`` and ``stop``: what a running engine does and can do."""

import os
import signal

import msgspec

from reapaint.commands.terminal import Terminal
from reapaint.errors import EngineUnavailable
from reapaint.link.client import EngineClient
from reapaint.link.launcher import find_address
from reapaint_engine.protocol import discovery


def show_status(endpoint: str | None, terminal: Terminal) -> None:
    """Show what the engine is doing."""
    with EngineClient(find_address(endpoint)) as client:
        status = client.status()
    terminal.say(
        f"Engine {status.version} at {status.endpoint}, pid {status.pid}, up"
        f" {status.uptime_s:.0f} s, {status.clients} client{'s' * (status.clients != 1)}."
    )
    if status.jobs:
        rows = [
            (
                job.job_id,
                job.state.value,
                job.stage,
                f"{100 * job.fraction:.0f} %",
                f"{job.age_s:.1f} s",
                job.prompt[:40],
            )
            for job in status.jobs
        ]
        terminal.table("Jobs", ("id", "state", "stage", "done", "age", "prompt"), rows)
    else:
        terminal.say("No jobs.")
    terminal.result({"ok": True, **msgspec.to_builtins(status)})


def cancel(job_id: str, endpoint: str | None, terminal: Terminal) -> None:
    """End one job, whoever sent it."""
    with EngineClient(find_address(endpoint)) as client:
        client.cancel_and_confirm(job_id)
    terminal.say(f"{job_id} is cancelled.")
    terminal.result({"ok": True, "job_id": job_id})


def stop(endpoint: str | None, terminal: Terminal) -> None:
    """End the engine; one that can't be spoken with is told by a signal."""
    address = find_address(endpoint)
    try:
        with EngineClient(address) as client:
            client.stop_engine()
    except EngineUnavailable:
        connection = discovery.find_engine()
        if connection is None or connection.endpoint != address.endpoint:
            raise
        os.kill(connection.pid, signal.SIGTERM)
    terminal.say(f"The engine at {address.endpoint} is stopping.")
    terminal.result({"ok": True, "endpoint": address.endpoint})
