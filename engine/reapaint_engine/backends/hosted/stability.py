"""Stability's own platform: Stable Audio 3 Large, polled, and 2.5, which answers at once."""

from reapaint_engine.backends.hosted.accounts import Login
from reapaint_engine.backends.hosted.errors import maybe_paid
from reapaint_engine.backends.hosted.exchange import Answer, Request
from reapaint_engine.backends.hosted.service import (
    Bounds,
    Capabilities,
    Failed,
    Finished,
    HostedModel,
    PaidRequest,
    PreparedAudio,
    Running,
    State,
    Ticket,
)
from reapaint_engine.backends.hosted.session import Session, is_remote_id, json_of, text_at

LOGIN = Login(
    service="stability",
    title="Stability",
    key_variable="STABILITY_API_KEY",
    scheme="Bearer",
    origins=("https://api.stability.ai",),
)

_STEPS = Bounds(4, 8)
_SEED = Bounds(1, 4_294_967_294)
"""The seeds that the service takes; it draws a random one for 0."""

SA3 = HostedModel(
    name="stable-audio-3",
    path="v2beta/audio/stable-audio/inpaint",
    price_usd=0.26,
    price_date="2026-09-03",
    takes=Capabilities(
        max_s=380.0,
        steps=_STEPS,
        guidance=Bounds(1, 25),
        seed=_SEED,
        has_whole_seconds=True,
    ),
)
SA25 = HostedModel(
    name="stable-audio-2.5",
    path="v2beta/audio/stable-audio-2/inpaint",
    price_usd=0.26,
    price_date="2026-09-03",
    takes=Capabilities(max_s=190.0, steps=_STEPS, seed=_SEED, has_whole_seconds=True),
)

ACCEPTED = 202


class Stability:
    """The service Stability: it takes the audio with the request. There is no way to cancel."""

    name = "stability"
    title = LOGIN.title
    login = LOGIN
    models = (SA3, SA25)
    poll_s = 5.0

    def prepare(self, _session: Session, _model: HostedModel, _wav: bytes) -> PreparedAudio:
        """Do nothing: the audio is sent with the request."""
        return PreparedAudio()

    def submit(
        self, session: Session, request: PaidRequest, _prepared: PreparedAudio
    ) -> Ticket | Finished | Failed:
        """Request the new audio; 2.5 returns it at once."""
        form = {
            "prompt": request.prompt,
            "model": request.model.name,
            "duration": str(round(request.duration_s)),
            "mask_start": str(round(request.mask_start_s)),
            "mask_end": str(round(request.mask_end_s)),
            "output_format": "wav",
        }
        if request.steps is not None:
            form["steps"] = str(request.steps)
        if request.guidance is not None:
            form["cfg_scale"] = f"{request.guidance:g}"
        if request.seed is not None:
            form["seed"] = str(request.seed)
        answer = session.paid(
            Request(
                "POST",
                f"{session.account.api}/{request.model.path}",
                form=form,
                file=("audio", request.wav),
                headers={"Accept": "audio/*"},
            )
        )
        if answer.status != ACCEPTED and "json" not in answer.headers.get("content-type", ""):
            return _result(answer)
        remote_id = text_at(json_of(answer), "id")
        if not is_remote_id(remote_id):
            raise maybe_paid(self.title, "its answer names no generation")
        return Ticket(remote_id)

    def poll(self, session: Session, ticket: Ticket) -> State:
        """Request the result; status 202 means that there is none yet."""
        url = f"{session.account.api}/v2beta/audio/results/{ticket.remote_id}"
        answer = session.free(Request("GET", url, headers={"Accept": "audio/*"}))
        if answer.status == ACCEPTED:
            return Running()
        return _result(answer)

    def cancel(self, _session: Session, _ticket: Ticket) -> bool:
        """Do nothing: the service can't cancel."""
        return False


def _result(answer: Answer) -> Finished | Failed:
    reason = answer.headers.get("finish-reason", "SUCCESS")
    return Finished(answer.body) if reason == "SUCCESS" else Failed(reason)
