"""A stand-in for the API of eachlabs."""

from tests.standins.base import Asked, Reply, StandIn

INPUTS = (
    "prompt", "audio_url", "seconds_total", "guidance_scale", "mask_start", "mask_end",
    "num_inference_steps", "seed",
)  # fmt: skip


class EachLabsStandIn(StandIn):
    name = "eachlabs"
    inputs = INPUTS
    cost: float | None = 0.2

    def step_of(self, method: str, path: str) -> str:
        if path.startswith("/v1/model"):
            return "describe"
        if path.startswith("/v1/upload"):
            return "upload"
        if path.endswith("/cancel"):
            return "cancel"
        return "submit" if method == "POST" else "poll"

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/v1/model?slug=stable-audio-2-5-inpaint":
            properties = {name: {"type": "string"} for name in self.inputs}
            return Reply(content={"request_schema": {"properties": properties}})
        if asked.path == "/v1/upload/presign":
            link = f"{self.files_url}/{self.place()}"
            headers = {"x-asked": "1"}
            return Reply(
                content={"presigned_url": link, "public_url": link, "required_headers": headers}
            )
        if asked.path == "/v1/prediction":
            fields = asked.json["input"]
            mask_s = (fields["mask_start"], fields["mask_end"])
            remote_id = self.take(self.uploaded(fields["audio_url"]), mask_s, fields)
            return Reply(content={"status": "success", "predictionID": remote_id})
        remote_id = asked.path.removeprefix("/v1/prediction/").removesuffix("/cancel")
        if remote_id not in self.jobs:
            return Reply(404, {"error": "prediction not found"})
        if asked.path.endswith("/cancel"):
            self.jobs[remote_id].is_cancelled = True
            return Reply(content={"status": "success"})
        if self.failure:
            return Reply(content={"status": "error", "output": {"error_message": self.failure}})
        if not self.is_done(remote_id):
            return Reply(content={"id": remote_id, "status": "processing"})
        metrics = {"predict_time": 1.5, "cost": self.cost}
        output = self.result_link(remote_id)
        return Reply(content={"status": "success", "output": output, "metrics": metrics})
