"""A stand-in for WaveSpeed's API, version 3."""

from tests.standins.base import Asked, Reply, StandIn

MODEL = "/api/v3/stability-ai/stable-audio-3/audio-inpainting"


class WaveSpeedStandIn(StandIn):
    name = "wavespeed"
    has_binary_upload = True

    def step_of(self, method: str, path: str) -> str:
        if "/media/" in path:
            return "upload"
        return "submit" if method == "POST" else "poll"

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/api/v3/media/upload/binary" and self.has_binary_upload:
            place = self.place()
            self.uploads[place] = asked.form["file"]
            return _envelope({"type": "audio", "download_url": f"{self.files_url}/{place}"})
        if asked.path == "/api/v3/media/uploads":
            link = f"{self.files_url}/{self.place()}"
            upload = {"method": "PUT", "url": link, "headers": {"x-asked": "1"}}
            return _envelope({"upload": upload, "download_url": link})
        if asked.path == MODEL and asked.method == "POST":
            fields = asked.json
            mask_s = (fields["mask_start_seconds"], fields["mask_end_seconds"])
            remote_id = self.take(self.uploaded(fields["audio"]), mask_s, fields)
            return _envelope({"id": remote_id, "status": "created", "outputs": []})
        head, _, tail = asked.path.partition("/api/v3/predictions/")
        remote_id = tail.removesuffix("/result")
        if head or remote_id not in self.jobs:
            return Reply(404, {"code": 404, "message": "no such thing"})
        if self.failure:
            return _envelope({"id": remote_id, "status": "failed", "error": self.failure})
        if not self.is_done(remote_id):
            return _envelope({"id": remote_id, "status": "processing", "outputs": []})
        outputs = [self.result_link(remote_id)]
        return _envelope({"id": remote_id, "status": "completed", "outputs": outputs})


def _envelope(data: dict[str, object]) -> Reply:
    return Reply(content={"code": 200, "message": "success", "data": data})
