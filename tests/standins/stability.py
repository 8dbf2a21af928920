"""A stand-in for Stability's platform: 3 is polled, 2.5 answers at once."""

from tests.standins.base import Asked, Reply, StandIn

LIMITS_S = {"stable-audio-3": (6, 380), "stable-audio-2.5": (6, 190)}


class StabilityStandIn(StandIn):
    name = "stability"

    def step_of(self, method: str, path: str) -> str:
        return "submit" if method == "POST" else "poll"

    def answer(self, asked: Asked) -> Reply:
        if asked.path.startswith("/v2beta/audio/results/"):
            remote_id = asked.path.rpartition("/")[2]
            if remote_id not in self.jobs:
                return Reply(404, {"errors": ["no such generation"], "name": "not_found"})
            if self.failure:
                return Reply(content=b"", headers={"finish-reason": self.failure})
            if not self.is_done(remote_id):
                return Reply(202, {"id": remote_id, "status": "in-progress"})
            return self._sound(remote_id)
        form = asked.form
        wav = form.pop("audio")
        fields = {name: value.decode() for name, value in form.items()}
        low_s, high_s = LIMITS_S[fields["model"]]
        if not low_s <= (len(wav) - 44) / 6 / 44_100 <= high_s:
            return Reply(400, {"errors": ["audio: must be 6 s or longer"], "name": "bad_request"})
        mask_s = (int(fields["mask_start"]), int(fields["mask_end"]))
        remote_id = self.take(wav, mask_s, fields)
        if asked.path.endswith("/stable-audio/inpaint"):
            return Reply(202, {"id": remote_id})
        if self.failure:
            return Reply(content=b"", headers={"finish-reason": self.failure})
        return self._sound(remote_id)

    def _sound(self, remote_id: str) -> Reply:
        headers = {"finish-reason": "SUCCESS", "seed": "1"}
        return Reply(content=self.result(remote_id), headers=headers)
