"""eachlabs: Stable Audio 2.5 inpainting. The model's inputs are requested each time."""

from collections.abc import Mapping

from reapaint_engine.backends.hosted.accounts import Login
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
from reapaint_engine.backends.hosted.session import Session, is_remote_id, json_of, text_at

LOGIN = Login(
    service="eachlabs",
    title="eachlabs",
    key_variable="EACHLABS_API_KEY",
    scheme="Bearer",
    origins=("https://api.eachlabs.ai",),
)

MODELS = (
    HostedModel(
        name="stable-audio-2.5",
        path="stable-audio-2-5-inpaint",
        price_usd=0.20,
        price_date="2026-09",
        takes=Capabilities(
            max_s=190.0,
            steps=Bounds(4, 8),
            guidance=Bounds(1, 25),
            seed=Bounds(0, 2**32 - 1),
            has_negative_prompt=True,
            has_whole_seconds=True,
        ),
    ),
)

_FAILED = {"error", "failed", "cancelled"}

_NAMES: Mapping[str, tuple[str, ...]] = {
    "prompt": ("prompt",),
    "audio": ("audio_url", "audio", "input_audio", "audio_file"),
    "mask_start": ("mask_start", "mask_start_seconds"),
    "mask_end": ("mask_end", "mask_end_seconds"),
    "duration": ("seconds_total", "duration"),
    "negative_prompt": ("negative_prompt",),
    "steps": ("num_inference_steps", "steps"),
    "guidance": ("guidance_scale", "cfg_scale"),
    "seed": ("seed",),
    "output_format": ("output_format",),
}
"""Possible names of the inputs; the model's own description has one of them."""

_NEEDED = ("prompt", "audio", "mask_start", "mask_end")
_OPTIONAL = ("negative_prompt", "steps", "guidance", "seed")


class EachLabs:
    """The service eachlabs: it names an upload address, takes and polls jobs, and can cancel."""

    name = "eachlabs"
    title = LOGIN.title
    login = LOGIN
    models = MODELS
    poll_s = 2.0

    def prepare(self, session: Session, model: HostedModel, wav: bytes) -> PreparedAudio:
        """Request the model's inputs and upload the window."""
        fields = self._fields(session, model)
        answer = session.free(
            Request(
                "POST",
                f"{session.account.api}/v1/upload/presign",
                json={"content_type": "audio/wav"},
            )
        )
        place = json_of(answer)
        upload_url, link = text_at(place, "presigned_url"), text_at(place, "public_url")
        if not upload_url or not link:
            raise no_upload(self.title, "did not say where to upload to")
        asked = place.get("required_headers")
        headers = {"Content-Type": "audio/wav"}
        if isinstance(asked, dict):
            headers.update({str(name): str(value) for name, value in asked.items()})
        session.free(Request("PUT", upload_url, content=wav, headers=headers))
        lacks = tuple(name for name in _OPTIONAL if name not in fields)
        return PreparedAudio(audio=link, fields=fields, lacks=lacks)

    def submit(self, session: Session, request: PaidRequest, prepared: PreparedAudio) -> Ticket:
        """Request the new audio."""
        values: dict[str, object] = {
            "prompt": request.prompt,
            "audio": prepared.audio,
            "mask_start": round(request.mask_start_s),
            "mask_end": round(request.mask_end_s),
            "duration": round(request.duration_s),
            "negative_prompt": request.negative_prompt or None,
            "steps": request.steps,
            "guidance": request.guidance,
            "seed": request.seed,
            "output_format": "wav",
        }
        inputs = {
            prepared.fields[name]: value
            for name, value in values.items()
            if value is not None and name in prepared.fields
        }
        answer = session.paid(
            Request(
                "POST",
                f"{session.account.api}/v1/prediction",
                json={"model": request.model.path, "input": inputs},
            )
        )
        content = json_of(answer)
        remote_id = text_at(content, "predictionID") or text_at(content, "id")
        if not is_remote_id(remote_id):
            raise maybe_paid(self.title, "its answer names no prediction")
        return Ticket(remote_id)

    def poll(self, session: Session, ticket: Ticket) -> State:
        """Request the state of the prediction."""
        url = f"{session.account.api}/v1/prediction/{ticket.remote_id}"
        content = json_of(session.free(Request("GET", url)))
        status = text_at(content, "status")
        if status in _FAILED:
            said = text_at(content, "output", "error_message") or text_at(content, "error")
            return Failed(said or text_at(content, "logs") or status)
        if status != "success":
            return Running()
        link = find_link(content.get("output"))
        metrics = content.get("metrics")
        cost = metrics.get("cost") if isinstance(metrics, dict) else None
        cost_usd = float(cost) if isinstance(cost, int | float) else None
        return Finished(link, cost_usd) if link else Failed("it has no output")

    def cancel(self, session: Session, ticket: Ticket) -> bool:
        """Cancel the prediction."""
        url = f"{session.account.api}/v1/prediction/{ticket.remote_id}/cancel"
        answer = session.send_last(Request("POST", url))
        return answer is not None and answer.status < 300

    def _fields(self, session: Session, model: HostedModel) -> dict[str, str]:
        url = f"{session.account.api}/v1/model?slug={model.path}"
        schema = json_of(session.free(Request("GET", url))).get("request_schema")
        known = schema.get("properties", schema) if isinstance(schema, dict) else {}
        fields = {
            name: found
            for name, choices in _NAMES.items()
            if (found := next((each for each in choices if each in known), ""))
        }
        missing = [name for name in _NEEDED if name not in fields]
        if missing:
            raise HostedError(
                HostedCode.SERVICE_FAILED,
                f"{self.title} describes {model.path} without the {missing[0].replace('_', ' ')}"
                " that it needs.",
                hint="The service has changed: look for a newer ReaPaint. Nothing was paid.",
            )
        return fields


def find_link(output: object) -> str:
    """Return the first address in an output: a text, a list or an object; "" if there is none."""
    if isinstance(output, str):
        return output
    if isinstance(output, list):
        return next((link for each in output if (link := find_link(each))), "")
    if isinstance(output, dict):
        names = ("url", "audio", "audio_url", "audio_file", "output", "outputs", "file")
        return next((link for name in names if (link := find_link(output.get(name)))), "")
    return ""
