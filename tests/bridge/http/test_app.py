"""The gateway's APIs as clients see them, in this process."""

import base64
import hashlib
import hmac
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reapaint.errors import BridgeCode, EngineUnavailable
from reapaint.http.config import HttpLimits
from reapaint.http.engine import SharedEngine
from reapaint.link.engine import failure_of
from reapaint.link.thread import Disconnected
from reapaint_engine.protocol.messages import Failed
from tests.bridge.http.serving import RATE, Server, as_data_uri, samples_of, wav

SA3 = "stability-ai/stable-audio-3/audio-inpainting"
MASK = slice(RATE, RATE * 3 // 2)


def test_outside_the_mask_nothing_changes(server: Server) -> None:
    data = wav()
    done = server.run(audio=server.upload(data)["download_url"], seed=7)
    assert done["status"] == "completed"
    result = server.client.get(done["outputs"][0])
    assert result.headers["content-type"] == "audio/wav"
    before, after = samples_of(data), samples_of(result.content)
    differs = (before != after).any(axis=1)
    assert differs[MASK].mean() > 0.9
    differs[MASK] = False
    assert not differs.any()
    assert done["takes"][0]["seed"] == 7
    assert done["progress"] == {"stage": "done", "fraction": 1.0, "position": 0}
    assert done["has_nsfw_contents"] == [False]


@pytest.mark.parametrize("output_format", ["mp3", "wav", "flac", "ogg", "opus", "m4a", "aac"])
def test_every_format_is_made(server: Server, output_format: str) -> None:
    done = server.run(audio=as_data_uri(wav(2.0)), output_format=output_format)
    assert done["status"] == "completed", done["error"]
    assert done["outputs"][0].endswith(f".{output_format}")
    result = server.client.get(done["outputs"][0])
    assert result.headers["content-type"].startswith("audio/")
    assert len(result.content) > 1000


def test_a_hosted_path_says_what_stood_in(server: Server) -> None:
    done = server.run(SA3, audio=as_data_uri(wav()), prompt="rain")
    assert done["backend"] == "context"
    assert any("hosted model" in warning for warning in done["warnings"])


def test_several_masks_and_takes(server: Server) -> None:
    data = wav()
    done = server.run(audio=as_data_uri(data), masks=[[2, 2.25], [0.5, 1]], takes=2, seed=3)
    assert [take["seed"] for take in done["takes"]] == [3, 4]
    first, second = (samples_of(server.client.get(url).content) for url in done["outputs"])
    outside = np.ones(len(first), bool)
    outside[RATE // 2 : RATE] = outside[2 * RATE : RATE * 9 // 4] = False
    for take in (first, second):
        np.testing.assert_array_equal(take[outside], samples_of(data)[outside])
    assert (first != second).any()
    assert sorted({seam["at_s"] for seam in done["takes"][0]["seams"]}) == [0.5, 1, 2, 2.25]


def test_output_as_base64(server: Server) -> None:
    data = wav()
    done = server.run(audio=as_data_uri(data), enable_base64_output=True)
    head, _, body = done["outputs"][0].partition(",")
    assert head == "data:audio/wav;base64"
    assert len(base64.b64decode(body)) == len(server.client.get(done["takes"][0]["url"]).content)
    # What was sent is not repeated in every answer.
    assert len(done["input"]["audio"]) < 100
    listed = server.client.get("/api/v3/predictions").json()["data"]["items"][0]
    assert listed["outputs"][0].startswith("http://")


def test_upload_by_put_and_its_place_is_used_once(server: Server) -> None:
    data = wav()
    upload = {"filename": "../../take.wav", "size": len(data), "content_type": "audio/wav"}
    place = server.client.post("/api/v3/media/uploads", json=upload).json()["data"]
    assert place["upload"]["method"] == "PUT"
    put = server.client.put(
        place["upload"]["url"], content=data, headers=place["upload"]["headers"]
    )
    assert put.status_code == 200
    assert put.json()["id"] == place["id"]
    assert server.client.get(place["download_url"]).content == data
    again = server.client.put(place["upload"]["url"], content=data)
    assert again.status_code == 404
    assert server.run(audio=place["id"])["status"] == "completed"


def test_states_while_it_waits_and_runs(server: Server) -> None:
    server.engine.may_run.clear()
    ids = [
        server.submit(audio=as_data_uri(wav()), seed=seed).json()["data"]["id"] for seed in (1, 2)
    ]
    assert server.engine.has_begun.wait(10)
    waiting = server.prediction(ids[1])
    assert waiting["status"] in ("created", "processing")
    assert waiting["progress"]["position"] == 1
    assert waiting["outputs"] == []
    running = server.prediction(ids[0])
    assert running["status"] == "processing"
    assert running["progress"]["stage"] == "sample"
    server.engine.may_run.set()
    for prediction_id in ids:
        _wait_for_end(server, prediction_id)


def test_sync_mode_that_takes_too_long_says_where_the_result_will_be(
    serve: Callable[..., Server],
) -> None:
    server = serve(limits=HttpLimits(sync_timeout_s=0.05))
    server.engine.may_run.clear()
    data = server.submit(audio=as_data_uri(wav()), enable_sync_mode=True).json()["data"]
    assert data["code"] == 5004
    assert "Sync mode timed out" in data["error"]
    assert data["urls"]["get"] in data["error"]
    server.engine.may_run.set()
    assert _wait_for_end(server, data["id"])["status"] == "completed"


def test_cancel_what_waits_and_what_runs(server: Server) -> None:
    server.engine.may_run.clear()
    ids = [server.submit(audio=as_data_uri(wav())).json()["data"]["id"] for _ in range(2)]
    assert server.engine.has_begun.wait(10)
    for prediction_id in ids:
        answer = server.client.post(f"/api/v3/predictions/{prediction_id}/cancel")
        assert answer.status_code == 200
    server.engine.may_run.set()
    for prediction_id in ids:
        data = _wait_for_end(server, prediction_id)
        assert data["status"] == "cancelled"
        assert data["error"], "the clients show it"
    assert server.client.get("/health").json()["waiting"] == 0


def test_delete_takes_the_results_along(server: Server) -> None:
    done = server.run(audio=as_data_uri(wav()))
    used = server.gateway.store.used_bytes
    assert used > 0
    url = f"/api/v3/predictions/{done['id']}"
    assert server.client.delete(url).status_code == 200
    assert server.gateway.store.used_bytes == 0
    assert server.client.get(url).status_code == 404
    assert server.client.get(done["outputs"][0]).status_code == 404


def test_what_has_not_ended_is_not_deleted(server: Server) -> None:
    server.engine.may_run.clear()
    prediction_id = server.submit(audio=as_data_uri(wav())).json()["data"]["id"]
    assert server.client.delete(f"/api/v3/predictions/{prediction_id}").status_code == 409


def test_list_by_page_model_and_status(server: Server) -> None:
    audio = server.upload()["id"]
    for _ in range(3):
        server.run(audio=audio)
    server.run(SA3, audio=audio)
    every = server.client.get("/api/v3/predictions").json()["data"]
    assert every["total"] == 4
    assert every["items"][0]["model"] == SA3, "the latest first"
    second = server.client.post("/api/v3/predictions", json={"page": 2, "page_size": 3})
    assert len(second.json()["data"]["items"]) == 1
    own = server.client.get("/api/v3/predictions?model=reapaint/context&status=completed")
    assert own.json()["data"]["total"] == 3
    none = server.client.get("/api/v3/predictions?created_after=2100-01-01T00:00:00Z")
    assert none.json()["data"]["total"] == 0
    assert server.client.get("/api/v3/predictions?page=0").status_code == 400


def test_a_mask_past_the_end_makes_it_longer(server: Server) -> None:
    done = server.run(audio=as_data_uri(wav(2.0)), masks=[[1.8, 2.5]])
    assert len(samples_of(server.client.get(done["outputs"][0]).content)) == RATE * 5 // 2
    assert any("longer" in warning for warning in done["warnings"])


# What is refused at once


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"mask_start_seconds": 3, "mask_end_seconds": 2}, "not after its start"),
        ({"masks": [[1, 1]]}, "not after its start"),
        ({"takes": 0}, "takes"),
        ({"takes": 17}, "takes"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"num_inference_steps": 101}, "num_inference_steps"),
        ({"guidance_scale": 26}, "guidance_scale"),
        ({"output_format": "exe"}, "output_format"),
        ({"strength": 1.5}, "strength"),
        ({"prompt": "x" * 10_001}, "prompt"),
        ({"masks": [[0, 1]] * 101}, "masks"),
        ({"backend": "nobody"}, "no backend"),
        ({"model": "/etc/passwd"}, "no model"),
        ({"model": ".."}, "no model"),
        ({"model": "medium+/etc/passwd=1"}, "no model"),
        ({"audio": ""}, "audio"),
        ({"audio": "take.wav"}, "http"),
        ({"audio": "/etc/passwd"}, "http"),
        ({"audio": "file:///etc/passwd"}, "http and https"),
        ({"audio": "ftp://example.com/a.wav"}, "http and https"),
        ({"audio": "http://169.254.169.254/latest/meta-data/"}, "inside"),
        ({"audio": "http://127.0.0.1:9/take.wav"}, "inside"),
        ({"audio": "http://localhost:9/take.wav"}, "inside"),
        ({"audio": "http://[::1]:9/take.wav"}, "inside"),
        ({"audio": "http://10.1.2.3/take.wav"}, "inside"),
        ({"audio": "http://[::ffff:10.1.2.3]/take.wav"}, "inside"),
        ({"audio": "http://user:word@example.com/take.wav"}, "user"),
        ({"audio": "http:///take.wav"}, "host"),
        ({"audio": "http://example.com/a b"}, "is none"),
        ({"audio": "data:audio/wav;base64,!!!!"}, "base64"),
        ({"audio": "data:audio/wav;base64"}, "comma"),
        ({"audio": "data:,"}, "empty"),
    ],
)  # fmt: skip
def test_bad_fields_are_refused_with_a_sentence(
    server: Server, fields: dict[str, Any], said: str
) -> None:
    answer = server.submit("reapaint/auto", **{"audio": as_data_uri(wav()), **fields})
    assert answer.status_code == 400
    error = answer.json()
    assert error["code"] == 400
    assert said in error["message"]
    assert error["data"] == {}, "the clients look into it"
    assert server.client.get("/api/v3/predictions").json()["data"]["total"] == 0


@pytest.mark.parametrize("missing", ["0" * 32, f"http://any.where/files/{'0' * 32}/audio.wav"])
def test_an_upload_that_is_not_there(server: Server, missing: str) -> None:
    assert server.submit(audio=missing).status_code == 404


@pytest.mark.parametrize("path", ["reapaint/nobody", "reapaint/..", "someone/else"])
def test_a_model_that_is_not_there(server: Server, path: str) -> None:
    answer = server.submit(path, audio=as_data_uri(wav()))
    assert answer.status_code == 404
    assert answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"audio": NaN}', "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"audio=x", "application/x-www-form-urlencoded", 415),
    ],
)
def test_bodies_that_are_no_json(server: Server, body: bytes, kind: str, status: int) -> None:
    answer = server.client.post(f"/api/v3/{SA3}", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.json()["code"] == status


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        ("data:audio/wav;base64,AAAA", "not a recording"),
        ("data:text/html,<script>", "not a recording"),
    ],
)
def test_audio_that_is_none_fails_with_a_sentence(server: Server, audio: str, said: str) -> None:
    done = server.run(audio=audio)
    assert done["status"] == "failed"
    assert said in done["error"]
    assert str(server.gateway.folder) not in done["error"]
    assert server.gateway.store.used_bytes == 0, "nothing is left of it"


def test_a_mask_outside_the_recording_fails_with_a_sentence(server: Server) -> None:
    done = server.run(audio=as_data_uri(wav(1.0)), masks=[[5, 6]])
    assert done["status"] == "failed"
    assert "after the file's end" in done["error"]


def test_an_engine_that_dies_fails_the_job_with_a_sentence(server: Server) -> None:
    server.engine.failure = EngineUnavailable(
        BridgeCode.ENGINE_DIED, "The engine died: it was killed.", hint="Send the job again."
    )
    done = server.run(audio=as_data_uri(wav()))
    assert (done["status"], done["error_code"]) == ("failed", "engine_died")
    assert done["error"] == "The engine died: it was killed. Send the job again."
    server.engine.failure = None
    assert server.run(audio=as_data_uri(wav()))["status"] == "completed"


def test_our_own_mistake_shows_no_inner_words(server: Server) -> None:
    server.engine.failure = RuntimeError("secret words")
    done = server.run(audio=as_data_uri(wav()))
    assert (done["status"], done["error_code"]) == ("failed", "internal_error")
    assert "secret" not in done["error"]


@pytest.mark.parametrize("name", ["my sounds", 'it\'s "mine"', "ümläut 音", "{path}", "%s"])
def test_no_answer_tells_of_the_servers_folders(server: Server, name: str) -> None:
    folder = f"/srv/secret place/{name}"
    server.engine.failure = failure_of(
        Failed("", "from_the_future", f"No {folder} here.", f"Make {folder}.", folder)
    )
    audio = server.upload()["id"]
    shapes = (
        server.run(audio=audio),
        server.client.post(
            "/run/fal-ai/stable-audio-25/inpaint",
            json={"prompt": "rain", "audio_url": audio, "mask_start": 1, "mask_end": 2},
        ).json(),
    )
    for answer in shapes:
        text = json.dumps(answer, ensure_ascii=False)
        assert "secret" not in text
        assert json.dumps(f"No {name} here. Make {name}.", ensure_ascii=False) in text
        assert "from_the_future" in text


def test_an_engine_that_does_not_start_shows_none_of_its_log() -> None:
    link = SharedEngine(())
    link._mailboxes["job"] = mailbox = queue.SimpleQueue()
    mailbox.put(
        Disconnected(
            EngineUnavailable(BridgeCode.ENGINE_NOT_STARTED, "It did not start: /srv/secret x.")
        )
    )
    with pytest.raises(EngineUnavailable) as caught:
        link._wait(mailbox, lambda: None, lambda stage, fraction: None)
    assert (caught.value.code, "secret" in str(caught.value)) == ("engine_not_started", False)


@pytest.mark.parametrize("name", ["my files", 'it\'s "mine"', "ümläut 音", "{path}"])
def test_a_recording_in_an_odd_folder_is_named_by_none_of_it(tmp_path: Path, name: str) -> None:
    server = Server(tmp_path / f"secret {name}")
    with server.client:
        done = server.run(audio="data:text/plain,nothing")
        assert done["error"].startswith("The recording is not a recording")
        looked = server.client.get(f"/api/v3/media/{server.upload(b'no sound')['id']}")
        assert "secret" not in json.dumps(done) + looked.text


def test_as_many_wait_as_may(serve: Callable[..., Server]) -> None:
    server = serve(limits=HttpLimits(max_waiting=2))
    server.engine.may_run.clear()
    audio = server.upload()["id"]
    ids = [server.submit(audio=audio).json()["data"]["id"] for _ in range(2)]
    refused = server.submit(audio=audio)
    assert refused.status_code == 429
    assert "wait or run already" in refused.json()["message"]
    used_bytes = server.gateway.store.used_bytes
    assert server.submit(audio=as_data_uri(wav())).status_code == 429
    assert server.gateway.store.used_bytes == used_bytes, "nothing is left of what was refused"
    server.engine.may_run.set()
    for prediction_id in ids:
        _wait_for_end(server, prediction_id)
    assert server.submit(audio=audio).status_code == 200


# Sizes


def test_an_upload_that_is_said_to_be_too_large_is_not_read(serve: Callable[..., Server]) -> None:
    server = serve(limits=HttpLimits(max_upload_bytes=1 << 20))
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1 << 16
            yield bytes(1 << 16)

    upload = {"filename": "a.wav", "size": 2 << 30}
    assert server.client.post("/api/v3/media/uploads", json=upload).status_code == 413
    place = server.client.post("/api/v3/media/uploads", json={}).json()["data"]
    answer = server.client.put(
        place["upload"]["url"], content=endless(), headers={"Content-Length": str(2 << 30)}
    )
    assert answer.status_code == 413
    assert "1 MiB" in answer.json()["message"]
    assert server.gateway.store.used_bytes == 0


@pytest.mark.parametrize("way", ["put", "form", "json", "data"])
def test_what_turns_out_too_large_is_cut_off(serve: Callable[..., Server], way: str) -> None:
    limits = HttpLimits(max_upload_bytes=1 << 20, max_body_bytes=1 << 20)
    server = serve(limits=limits)
    blocks = (bytes(1 << 16) for _ in range(64))
    if way == "put":
        place = server.client.post("/api/v3/media/uploads", json={}).json()["data"]
        answer = server.client.put(place["upload"]["url"], content=blocks)
    elif way == "form":
        files = {"file": ("a.wav", bytes(2 << 20))}
        answer = server.client.post("/api/v3/media/upload/binary", files=files)
    elif way == "json":
        headers = {"Content-Type": "application/json"}
        answer = server.client.post(f"/api/v3/{SA3}", content=blocks, headers=headers)
    else:
        answer = server.submit(audio=as_data_uri(bytes(2 << 20)))
    assert answer.status_code == 413
    assert server.gateway.store.used_bytes == 0
    assert not list(server.gateway.folder.iterdir()), "no half file is left"


def test_bodies_take_no_more_memory_than_they_may(serve: Callable[..., Server]) -> None:
    server = serve(limits=HttpLimits(max_bodies_bytes=1000))
    assert server.submit(audio=as_data_uri(wav())).status_code == 429
    assert server.submit(audio="0" * 32).status_code == 404, "small ones still come through"


def test_the_quota(serve: Callable[..., Server]) -> None:
    data = wav()
    server = serve(limits=HttpLimits(quota_bytes=len(data) * 3 // 2))
    audio = server.upload(data)["id"]
    second = server.client.post("/api/v3/media/upload/binary", files={"file": ("a.wav", data)})
    assert second.status_code == 507
    assert "--http-quota-mib" in second.json()["message"]
    done = server.run(audio=audio)
    assert (done["status"], done["error_code"]) == ("failed", "store_full")
    assert server.client.delete(f"/v1/files/{audio}").status_code == 200
    assert server.gateway.store.used_bytes == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        b"--x\r\nContent-Disposition: form-data; name=other\r\n\r\nabc\r\n--x--\r\n",
        b"--x\r\nContent-Disposition: form-data; name=file; filename=a.wav\r\n\r\nabc",
    ],
)
def test_forms_that_are_none(server: Server, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = server.client.post("/api/v3/media/upload/binary", content=body, headers=headers)
    assert answer.status_code == 400
    assert not list(server.gateway.folder.iterdir())


def test_a_boundary_that_is_too_long_is_the_clients_mistake(server: Server) -> None:
    headers = {"Content-Type": f"multipart/form-data; boundary={'b' * 300}"}
    answer = server.client.post("/api/v3/media/upload/binary", content=b"abcd", headers=headers)
    assert answer.status_code == 400


def test_a_form_needs_its_kind(server: Server) -> None:
    answer = server.client.post("/api/v3/media/upload/binary", content=b"abc")
    assert answer.status_code == 415


def test_a_part_of_a_result(server: Server) -> None:
    url = server.upload()["download_url"]
    part = server.client.get(url, headers={"Range": "bytes=4-7"})
    assert part.status_code == 206
    assert len(part.content) == 4
    assert server.client.get(url, headers={"Range": "bytes=99999999-"}).status_code == 416
    assert server.client.head(url).headers["content-length"]


def test_a_web_page_in_disguise_is_never_served_as_one(server: Server) -> None:
    uploaded = server.upload(b"<script>alert(1)</script>", name="evil.html")
    answer = server.client.get(uploaded["download_url"])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/v3/nothing/there", 404),
        ("GET", "/files/../../etc/passwd", 404),
        ("GET", "/files/..%2f..%2fetc%2fpasswd/a", 404),
        ("GET", f"/files/{'0' * 32}/audio.wav", 404),
        ("GET", "/page/../../config.py", 404),
        ("GET", "/page/..%2f..%2fconfig.py", 404),
        ("PUT", f"/api/v3/{SA3}", 405),
        ("DELETE", "/health", 405),
        ("GET", "/v1/prediction/run", 405),
    ],
)
def test_paths_that_lead_nowhere(server: Server, method: str, path: str, status: int) -> None:
    answer = server.client.request(method, path)
    assert answer.status_code == status
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/nothing", "message"),
        ("/run", "message"),
        ("/api/v3/nothing", "message"),
        ("/files/nothing", "message"),
        ("/v1/nothing", "error"),
        ("/run/nothing", "detail"),
        ("/reapaint/a/b/c", "detail"),
        ("/fal-ai/nothing", "detail"),
    ],
)
def test_where_no_route_is_errors_are_said_as_its_neighbours_say_them(
    server: Server, path: str, words: str
) -> None:
    answer = server.client.post(path)
    assert answer.status_code in (404, 405)
    assert answer.json()[words]


# eachlabs


def test_eachlabs_from_upload_to_result(server: Server) -> None:
    data = wav()
    place = server.client.post("/v1/upload/presign", json={"content_type": "audio/wav"}).json()
    put = server.client.put(place["presigned_url"], content=data, headers=place["required_headers"])
    assert put.status_code == 200
    schema = server.client.get("/v1/model?slug=stable-audio-2-5-inpaint").json()["request_schema"]
    assert {"prompt", "audio_url", "mask_start", "mask_end", "seed"} <= set(schema["properties"])
    inputs = {
        "prompt": "rain", "audio_url": place["public_url"], "mask_start": 1, "mask_end": 1.5,
        "output_format": "wav",
    }  # fmt: skip
    body = {"model": "stable-audio-2-5-inpaint", "input": inputs}
    created = server.client.post("/v1/prediction", json=body).json()
    assert created["status"] == "success"
    url = f"/v1/prediction/{created['predictionID']}"
    done = _poll(server, url, ("success", "error", "cancelled"))
    assert done["status"] == "success"
    result = samples_of(server.client.get(done["output"]).content)
    np.testing.assert_array_equal(result[: MASK.start], samples_of(data)[: MASK.start])
    run = server.client.post("/v1/prediction/run", json={**body, "model": "reapaint/context"})
    assert run.json()["status"] == "success"
    assert server.client.post(f"{url}/cancel").json()["status"] == "success", "it was over"
    assert server.client.delete(f"/v1/files/{place['id']}").status_code == 200
    assert server.client.delete(f"/v1/files/{place['id']}").status_code == 404


def test_eachlabs_says_errors_its_way(server: Server) -> None:
    body = {"model": "nobody", "input": {"audio_url": as_data_uri(wav()), "mask_start": 0}}
    answer = server.client.post("/v1/prediction", json=body)
    assert answer.status_code == 404
    assert "nobody" in answer.json()["error"]
    body["model"] = "reapaint/context"
    answer = server.client.post("/v1/prediction", json=body)
    assert answer.status_code == 400
    assert "mask" in answer.json()["error"]
    body["input"] |= {"audio_url": "data:,x", "mask_end": 1}
    done = server.client.post("/v1/prediction/run", json=body).json()
    assert done["status"] == "error"
    assert done["output"]["error_code"] == "unreadable_audio"


# fal


@pytest.mark.parametrize(
    "app", ["fal-ai/stable-audio-3/medium/audio-inpainting", "reapaint/context"]
)
def test_fal_queue_from_submit_to_result(server: Server, app: str) -> None:
    data = wav()
    server.engine.may_run.clear()
    inputs = {
        "prompt": "", "audio_url": as_data_uri(data), "mask_start_seconds": 1,
        "mask_end_seconds": 1.5, "output_format": "wav", "seed": 5,
    }  # fmt: skip
    first = server.client.post(f"/{app}", json=inputs).json()
    handle = server.client.post(f"/{app}", json=inputs).json()
    assert server.engine.has_begun.wait(10)
    status = server.client.get(handle["status_url"], params={"logs": "true"}).json()
    assert status["status"] in ("IN_QUEUE", "IN_PROGRESS")
    assert server.client.get(handle["response_url"]).status_code == 400
    cancelled = server.client.put(first["cancel_url"])
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "CANCELLATION_REQUESTED")
    server.engine.may_run.set()
    status = _poll(server, handle["status_url"], ("COMPLETED",))
    assert "error" not in status
    result = server.client.get(handle["response_url"]).json()
    assert result["seed"] == 5
    assert result["audio"]["content_type"] == "audio/wav"
    after = samples_of(server.client.get(result["audio"]["url"]).content)
    np.testing.assert_array_equal(after[: MASK.start], samples_of(data)[: MASK.start])
    status = _poll(server, first["status_url"], ("COMPLETED",))
    assert status["error_type"] == "cancelled"
    gone = server.client.get(first["response_url"])
    assert gone.status_code == 422
    assert gone.headers["x-fal-error-type"] == "cancelled"


def test_fal_direct_run_and_the_older_mask(server: Server) -> None:
    inputs = {"audio_url": as_data_uri(wav()), "mask_start": 1, "mask_end": 2, "prompt": "x"}
    answer = server.client.post("/run/fal-ai/stable-audio-25/inpaint", json=inputs)
    assert answer.status_code == 200
    assert answer.json()["audio"]["url"].endswith(".mp3")
    failed = server.client.post(
        "/run/fal-ai/stable-audio-25/inpaint", json={**inputs, "audio_url": "data:,x"}
    )
    assert failed.status_code == 422
    assert failed.json()["error_type"] == "unreadable_audio"


# Webhooks


class Listener:
    """A server of a client that hears webhooks."""

    def __init__(self, statuses: list[int]) -> None:
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.all_came = threading.Event()
        self._wanted = len(statuses)
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = statuses[len(listener.heard)]
                listener.heard.append((headers, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                if len(listener.heard) == listener._wanted:
                    listener.all_came.set()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    listeners: list[Listener] = []

    def make(*statuses: int) -> Listener:
        listeners.append(Listener(list(statuses)))
        return listeners[-1]

    yield make
    for listener in listeners:
        listener.close()


def test_a_webhook_tells_of_the_end_signed_and_again_where_it_failed(
    serve: Callable[..., Server], listen: Callable[..., Listener]
) -> None:
    listener = listen(500, 200)
    server = serve(allowed_hosts=frozenset(("127.0.0.1",)), webhook_pauses_s=(0.0,))
    body = {"audio": as_data_uri(wav()), "masks": [[1, 2]], "output_format": "wav"}
    url = f"/api/v3/{SA3}"
    prediction_id = server.client.post(url, params={"webhook": listener.url}, json=body).json()[
        "data"
    ]["id"]
    assert listener.all_came.wait(20)
    headers, content = listener.heard[1]
    told = json.loads(content)
    assert (told["id"], told["status"]) == (prediction_id, "completed")
    assert server.client.get(told["outputs"][0]).status_code == 200
    secret = server.client.get("/api/v3/webhook/secret").json()["data"]["secret"]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + content
    key = secret.removeprefix("whsec_").encode()
    expected = hmac.new(key, signed, hashlib.sha256).hexdigest()
    assert headers["webhook-signature"] == f"v3,{expected}"


def test_webhooks_of_eachlabs_and_fal(
    serve: Callable[..., Server], listen: Callable[..., Listener]
) -> None:
    server = serve(allowed_hosts=frozenset(("127.0.0.1",)))
    listener = listen(200)
    inputs = {"audio_url": as_data_uri(wav()), "mask_start": 1, "mask_end": 2}
    body = {"model": "reapaint/context", "input": inputs, "webhook_url": listener.url}
    server.client.post("/v1/prediction", json=body)
    assert listener.all_came.wait(20)
    assert json.loads(listener.heard[0][1])["status"] == "success"
    for audio, status in ((as_data_uri(wav()), "OK"), ("data:,x", "ERROR")):
        listener = listen(200)
        app = "/fal-ai/stable-audio-25/inpaint"
        inputs["audio_url"] = audio
        server.client.post(app, params={"fal_webhook": listener.url}, json=inputs)
        assert listener.all_came.wait(20)
        assert json.loads(listener.heard[0][1])["status"] == status


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "file:///tmp/x", "http://10.0.0.1/"])
def test_webhooks_to_inner_addresses_are_refused(server: Server, url: str) -> None:
    body = {"audio": as_data_uri(wav()), "masks": [[1, 2]]}
    answer = server.client.post(f"/api/v3/{SA3}", params={"webhook": url}, json=body)
    assert answer.status_code == 400


# Order


def test_jobs_enter_the_queue_in_the_order_in_which_they_came(server: Server) -> None:
    server.engine.may_run.clear()
    audio = server.upload(wav(1.0))["id"]
    ids = [
        server.submit(audio=audio, masks=[[0.4, 0.5]], seed=seed).json()["data"]["id"]
        for seed in range(12)
    ]
    server.engine.may_run.set()
    for prediction_id in ids:
        assert _wait_for_end(server, prediction_id)["status"] == "completed"
    assert server.engine.order == list(range(12))


def _wait_for_end(server: Server, prediction_id: str) -> dict[str, Any]:
    url = f"/api/v3/predictions/{prediction_id}/result"
    ends = ("completed", "failed", "cancelled")
    return _poll(server, url, ends, lambda content: content["data"])


def _poll(
    server: Server,
    url: str,
    ends: tuple[str, ...],
    inside: Callable[[Any], dict[str, Any]] = lambda content: content,
) -> dict[str, Any]:
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        data = inside(server.client.get(url).json())
        if data["status"] in ends:
            return data
        threading.Event().wait(0.005)
    raise AssertionError(data)
