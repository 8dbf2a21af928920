"""Who may ask: tokens, names, and web pages of other sites."""

from collections.abc import Callable

import pytest

from tests.bridge.http.serving import Server, as_data_uri, wav

TOKEN = "a-token-of-the-tests-0123456789"
OWN = "http://127.0.0.1:8787"
PATHS = (
    "/api/v3/predictions",
    "/api/v3/models",
    "/api/v3/webhook/secret",
    f"/api/v3/predictions/{'0' * 32}",
    f"/v1/prediction/{'0' * 32}",
    "/v1/model",
    f"/fal-ai/stable-audio-3/requests/{'0' * 32}/status",
    "/nothing",
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer "},
        {"X-API-Key": TOKEN[:-1]},
    ],
)
def test_without_its_token_nothing_is_told(
    serve: Callable[..., Server], path: str, headers: dict[str, str]
) -> None:
    answer = serve(token=TOKEN).client.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "know this client" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"Key {TOKEN}"},
        {"X-API-Key": TOKEN},
    ],
)
def test_the_token_as_each_service_s_clients_send_it(
    serve: Callable[..., Server], headers: dict[str, str]
) -> None:
    server = serve(token=TOKEN)
    assert server.client.get("/api/v3/models", headers=headers).status_code == 200
    # Whoever has the token may come by any name: a page that tricks a browser has not.
    named = {**headers, "Host": "audio.example.com"}
    assert server.client.get("/api/v3/models", headers=named).status_code == 200


def test_addresses_that_hold_a_secret_need_no_token(serve: Callable[..., Server]) -> None:
    server = serve(token=TOKEN)
    server.client.headers["Authorization"] = f"Bearer {TOKEN}"
    place = server.client.post("/api/v3/media/uploads", json={}).json()["data"]
    del server.client.headers["Authorization"]
    assert server.client.put(place["upload"]["url"], content=wav()).status_code == 200
    assert server.client.get(place["download_url"]).status_code == 200
    for path in ("/health", "/openapi.json"):
        assert server.client.get(path).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example.com", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil.com", "[::", ""],
)
def test_strange_names_are_refused_where_no_token_is_needed(server: Server, host: str) -> None:
    answer = server.client.get("/api/v3/predictions", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.json()["error_code"] == "wrong_host"


@pytest.mark.parametrize("host", ["localhost:8787", "127.0.0.1:8787", "[::1]:8787", "LOCALHOST"])
def test_own_names(server: Server, host: str) -> None:
    assert server.client.get("/api/v3/predictions", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8787"},
        {"Origin": "https://127.0.0.1:8787"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
@pytest.mark.parametrize("token", ["", TOKEN])
def test_pages_of_other_sites_are_refused(
    serve: Callable[..., Server], token: str, headers: dict[str, str]
) -> None:
    server = serve(token=token)
    headers = {**headers, "Authorization": f"Bearer {TOKEN}"}
    body = {"audio": as_data_uri(wav())}
    for answer in (
        server.client.post("/api/v3/reapaint/context", json=body, headers=headers),
        server.client.get("/api/v3/predictions", headers=headers),
        server.client.options("/api/v3/predictions", headers=headers),
    ):
        assert answer.status_code == 403
        assert answer.json()["error_code"] == "cross_site"
        assert "access-control-allow-origin" not in answer.headers
    assert not tuple(server.gateway.predictions)


def test_the_own_page_may_ask(serve: Callable[..., Server]) -> None:
    server = serve(public_url="https://audio.example.com")
    for origin in (OWN, "https://audio.example.com"):
        headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
        assert server.client.get("/api/v3/models", headers=headers).status_code == 200
    named = server.client.get("/api/v3/models", headers={"Host": "audio.example.com"})
    assert named.status_code == 200
    upload = server.upload()
    assert upload["download_url"].startswith("https://audio.example.com/files/")


def test_a_link_to_the_page_may_be_followed(server: Server) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert server.client.get("/", headers=headers).status_code in (200, 404)


def test_no_answer_lets_itself_be_framed_or_kept(server: Server) -> None:
    answer = server.client.get("/api/v3/predictions")
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
