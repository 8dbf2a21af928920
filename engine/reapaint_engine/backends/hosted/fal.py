"""fal: Stable Audio 3 and 2.5 inpainting, through its queue."""

from reapaint_engine.backends.hosted.accounts import Login
from reapaint_engine.backends.hosted.eachlabs import find_link
from reapaint_engine.backends.hosted.errors import HostedCode, HostedError, maybe_paid, no_upload
from reapaint_engine.backends.hosted.exchange import Request
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
from reapaint_engine.backends.hosted.session import (
    Session,
    is_remote_id,
    json_of,
    text_at,
    words_of,
)

LOGIN = Login(
    service="fal",
    title="fal",
    key_variable="FAL_KEY",
    scheme="Key",
    origins=("https://queue.fal.run", "https://rest.fal.ai"),
)

_SEED = Bounds(0, 2**32 - 1)
_SA3 = "fal-ai/stable-audio-3"


def _sa3(name: str, place: str, price_usd: float | None, max_s: float) -> HostedModel:
    return HostedModel(
        name=name,
        path=f"{_SA3}/{place}/audio-inpainting",
        price_usd=price_usd,
        price_date="2026-09",
        takes=Capabilities(
            max_s=max_s,
            steps=Bounds(1, 100),
            guidance=Bounds(0, 25),
            seed=_SEED,
            has_negative_prompt=True,
        ),
    )


MODELS = (
    _sa3("stable-audio-3-medium", "medium", 0.0442, 380.0),
    _sa3("stable-audio-3-medium-base", "medium/base", 0.0537, 380.0),
    _sa3("stable-audio-3-small-sfx", "small/sfx", None, 120.0),
    _sa3("stable-audio-3-small-sfx-base", "small/sfx/base", 0.0331, 120.0),
    _sa3("stable-audio-3-small-music", "small/music", None, 120.0),
    _sa3("stable-audio-3-small-music-base", "small/music/base", None, 120.0),
    HostedModel(
        name="stable-audio-2.5",
        path="fal-ai/stable-audio-25/inpaint",
        price_usd=0.20,
        price_date="2026-09",
        takes=Capabilities(
            max_s=190.0,
            steps=Bounds(4, 8),
            guidance=Bounds(1, 25),
            seed=_SEED,
            has_whole_seconds=True,
        ),
    ),
)


class Fal:
    """The service fal: it stores uploads, queues and polls jobs, and can cancel."""

    name = "fal"
    title = LOGIN.title
    login = LOGIN
    models = MODELS
    poll_s = 1.0

    def prepare(self, session: Session, _model: HostedModel, wav: bytes) -> PreparedAudio:
        """Upload the window."""
        answer = session.free(
            Request(
                "POST",
                f"{session.account.uploads}/storage/upload/initiate?storage_type=gcs",
                json={"file_name": "window.wav", "content_type": "audio/wav"},
            )
        )
        place = json_of(answer)
        upload_url, link = text_at(place, "upload_url"), text_at(place, "file_url")
        if not upload_url or not link:
            raise no_upload(self.title, "did not say where to upload to")
        session.free(Request("PUT", upload_url, content=wav, headers={"Content-Type": "audio/wav"}))
        return PreparedAudio(audio=link)

    def submit(self, session: Session, request: PaidRequest, prepared: PreparedAudio) -> Ticket:
        """Request the new audio."""
        fields: dict[str, object] = {"prompt": request.prompt, "audio_url": prepared.audio}
        if request.model.takes.has_whole_seconds:
            fields["mask_start"] = round(request.mask_start_s)
            fields["mask_end"] = round(request.mask_end_s)
            fields["seconds_total"] = round(request.duration_s)
        else:
            fields["mask_start_seconds"] = request.mask_start_s
            fields["mask_end_seconds"] = request.mask_end_s
        if request.negative_prompt:
            fields["negative_prompt"] = request.negative_prompt
        if request.steps is not None:
            fields["num_inference_steps"] = request.steps
        if request.guidance is not None:
            fields["guidance_scale"] = request.guidance
        if request.seed is not None:
            fields["seed"] = request.seed
        url = f"{session.account.api}/{request.model.path}"
        content = json_of(session.paid(Request("POST", url, json=fields)))
        remote_id = text_at(content, "request_id")
        if not is_remote_id(remote_id):
            raise maybe_paid(self.title, "its answer names no request")
        # The queue's addresses use only the first two parts of an app's name.
        app = "/".join(request.model.path.split("/")[:2])
        base = f"{session.account.api}/{app}/requests/{remote_id}"
        return Ticket(
            remote_id,
            {
                "status": text_at(content, "status_url") or f"{base}/status",
                "response": text_at(content, "response_url") or base,
                "cancel": text_at(content, "cancel_url") or f"{base}/cancel",
            },
        )

    def poll(self, session: Session, ticket: Ticket) -> State:
        """Request the state of the job, and the result when there is one."""
        content = json_of(session.free(Request("GET", ticket.links["status"])))
        if text_at(content, "status") != "COMPLETED":
            return Running()
        if said := text_at(content, "error"):
            return Failed(said)
        try:
            answer = session.free(Request("GET", ticket.links["response"]))
        except HostedError as error:
            # Here the queue passes on the status and words of a failed run.
            if error.code in (HostedCode.SERVICE_REFUSED, HostedCode.SERVICE_FAILED):
                return Failed(error.message)
            raise
        link = find_link(json_of(answer))
        return Finished(link) if link else Failed(words_of(answer) or "it has no output")

    def cancel(self, session: Session, ticket: Ticket) -> bool:
        """Cancel the request."""
        answer = session.send_last(Request("PUT", ticket.links["cancel"]))
        return answer is not None and answer.status < 300
