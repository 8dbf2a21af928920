"""WaveSpeed: Stable Audio 3 inpainting, by its API version 3."""

from reapaint_engine.backends.hosted.accounts import Login
from reapaint_engine.backends.hosted.errors import HostedCode, HostedError, maybe_paid, no_upload
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
    service="wavespeed",
    title="WaveSpeed",
    key_variable="WAVESPEED_API_KEY",
    scheme="Bearer",
    origins=("https://api.wavespeed.ai",),
)

MODELS = (
    HostedModel(
        name="stable-audio-3",
        path="stability-ai/stable-audio-3/audio-inpainting",
        price_usd=0.0442,
        price_date="2026-09",
        takes=Capabilities(
            max_s=380.0,
            steps=Bounds(1, 100),
            guidance=Bounds(0, 25),
            has_negative_prompt=True,
        ),
    ),
)

_OVER = {"failed", "cancelled", "timeout", "deleted"}


class WaveSpeed:
    """The service WaveSpeed: it takes and polls jobs, but has no seed and no way to cancel."""

    name = "wavespeed"
    title = LOGIN.title
    login = LOGIN
    models = MODELS
    poll_s = 1.0

    def prepare(self, session: Session, _model: HostedModel, wav: bytes) -> PreparedAudio:
        """Upload the window."""
        try:
            link = _upload(session, wav)
        except HostedError as error:
            if error.code != HostedCode.SERVICE_REFUSED:
                raise
            # The documentation describes one way, the service's own client uses the other.
            link = _upload_by_place(session, wav)
        if not link:
            raise no_upload(self.title, "took the upload but did not say where it is")
        return PreparedAudio(audio=link)

    def submit(self, session: Session, request: PaidRequest, prepared: PreparedAudio) -> Ticket:
        """Request the new audio."""
        fields: dict[str, object] = {
            "audio": prepared.audio,
            "prompt": request.prompt,
            "mask_start_seconds": request.mask_start_s,
            "mask_end_seconds": request.mask_end_s,
            "output_format": "wav",
        }
        if request.negative_prompt:
            fields["negative_prompt"] = request.negative_prompt
        if request.steps is not None:
            fields["num_inference_steps"] = request.steps
        if request.guidance is not None:
            fields["guidance_scale"] = request.guidance
        url = f"{session.account.api}/api/v3/{request.model.path}"
        answer = session.paid(Request("POST", url, json=fields))
        remote_id = text_at(_envelope(session, answer), "id")
        if not is_remote_id(remote_id):
            raise maybe_paid(self.title, "its answer names no prediction")
        return Ticket(remote_id)

    def poll(self, session: Session, ticket: Ticket) -> State:
        """Request the state of the prediction."""
        url = f"{session.account.api}/api/v3/predictions/{ticket.remote_id}/result"
        data = _envelope(session, session.free(Request("GET", url)))
        status = text_at(data, "status")
        if status in _OVER:
            return Failed(text_at(data, "error") or status)
        if status != "completed":
            return Running()
        outputs = data.get("outputs")
        first = outputs[0] if isinstance(outputs, list) and outputs else None
        return Finished(first) if isinstance(first, str) else Failed("it has no output")

    def cancel(self, _session: Session, _ticket: Ticket) -> bool:
        """Do nothing: the service can't cancel."""
        return False


def _upload(session: Session, wav: bytes) -> str:
    url = f"{session.account.api}/api/v3/media/upload/binary"
    answer = session.free(Request("POST", url, file=("file", wav)))
    return text_at(_envelope(session, answer), "download_url")


def _upload_by_place(session: Session, wav: bytes) -> str:
    """Request an upload address, and put the file there."""
    url = f"{session.account.api}/api/v3/media/uploads"
    fields = {"filename": "window.wav", "size": len(wav), "content_type": "audio/wav"}
    place = _envelope(session, session.free(Request("POST", url, json=fields)))
    upload = place.get("upload")
    asked = upload.get("headers") if isinstance(upload, dict) else None
    headers = {str(name): str(value) for name, value in asked.items()} if asked else {}
    upload_url = text_at(place, "upload", "url")
    if not upload_url:
        return ""
    session.free(Request("PUT", upload_url, content=wav, headers=headers))
    return text_at(place, "download_url")


def _envelope(session: Session, answer: Answer) -> dict[str, object]:
    """Return the content of the envelope; its own code counts like the HTTP status."""
    content = json_of(answer)
    code = content.get("code", 200)
    if isinstance(code, int) and code >= 300:
        raise session.refusal(Answer(code, answer.headers, answer.body))
    data = content.get("data")
    return data if isinstance(data, dict) else {}
