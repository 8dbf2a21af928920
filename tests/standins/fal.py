"""A stand-in for fal's queue and its storage."""

from tests.standins.base import Asked, Reply, StandIn


class FalStandIn(StandIn):
    name = "fal"
    authorization = f"Key {StandIn.key}"

    def step_of(self, method: str, path: str) -> str:
        if path.startswith("/storage"):
            return "upload"
        if path.endswith("/cancel"):
            return "cancel"
        return "submit" if method == "POST" else "poll"

    def answer(self, asked: Asked) -> Reply:
        if asked.path.startswith("/storage/upload/initiate"):
            link = f"{self.files_url}/{self.place()}"
            return Reply(content={"upload_url": link, "file_url": link})
        tail = asked.path.partition("/requests/")[2]
        if asked.method == "POST" and not tail:
            return self._submit(asked)
        remote_id = tail.partition("/")[0]
        if remote_id not in self.jobs:
            return Reply(404, {"detail": "Request not found"})
        if tail.endswith("/cancel"):
            self.jobs[remote_id].is_cancelled = True
            return Reply(202, {"status": "CANCELLATION_REQUESTED"})
        if tail.endswith("/status"):
            if self.failure or self.is_done(remote_id):
                return Reply(content={"status": "COMPLETED", "logs": [], "metrics": {}})
            return Reply(content={"status": "IN_QUEUE", "queue_position": 1})
        if self.failure:
            return Reply(422, {"detail": self.failure, "error_type": "invalid"})
        return Reply(content={"audio": {"url": self.result_link(remote_id)}, "seed": 1})

    def _submit(self, asked: Asked) -> Reply:
        fields = asked.json
        if "mask_start" in fields:
            assert all(isinstance(fields[name], int) for name in ("mask_start", "mask_end"))
            mask_s = (fields["mask_start"], fields["mask_end"])
        else:
            mask_s = (fields["mask_start_seconds"], fields["mask_end_seconds"])
        remote_id = self.take(self.uploaded(fields["audio_url"]), mask_s, fields)
        app = "/".join(asked.path.split("/")[1:3])
        base = f"{self.url}/{app}/requests/{remote_id}"
        return Reply(
            content={
                "request_id": remote_id,
                "response_url": base,
                "status_url": f"{base}/status",
                "cancel_url": f"{base}/cancel",
            }
        )
