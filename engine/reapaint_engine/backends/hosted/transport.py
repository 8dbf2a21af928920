"""Send requests over the network, one at a time; a cancelled job ends one at once.

Every exchange has its own connection. On an old connection that the service has just closed, it
would be unknown whether a request arrived.
"""

import asyncio
import functools
import logging
import ssl
from urllib.parse import urljoin

import httpx

from reapaint_engine.backends.hosted.accounts import Account
from reapaint_engine.backends.hosted.errors import HostedCode, HostedError
from reapaint_engine.backends.hosted.exchange import Answer, Broken, NotSent, Request, WhileWaiting
from reapaint_engine.backends.hosted.pace import CANCEL_CHECK_INTERVAL_S, Pace
from reapaint_engine.protocol.version import __version__

MAX_BODY_BYTES = 512 << 20
"""Largest answer: far above six minutes of stereo in 32 bits."""

MAX_REDIRECTS = 5


@functools.cache
def _tls() -> ssl.SSLContext:
    """Return a context that checks every certificate; reading the trusted ones takes 90 ms."""
    return httpx.create_ssl_context()


class HttpTransport:
    """Sends requests to one service for one job."""

    def __init__(self, account: Account, pace: Pace) -> None:
        # These loggers write addresses, and the addresses of uploads are secret.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._account = account
        self._pace = pace
        self._tls = _tls()

    def exchange(
        self, request: Request, watch: WhileWaiting | None = None, *, within_s: float | None = None
    ) -> Answer:
        """Send a request and return the answer, whatever its status.

        Parameters
        ----------
        request
            The request. Redirects are followed only for GET.
        watch
            Called often; an exception from it ends the exchange.
        within_s
            A time limit other than the usual one.

        Raises
        ------
        NotSent, Broken
            There is no answer. With NotSent the request certainly did not arrive; with Broken
            it may have.
        HostedError
            The answer leads to an address that isn't safe to open, or is too large.
        """
        limit_s = self._pace.exchange_s if within_s is None else within_s
        # Not asyncio.run: that would wait for a name server that never answers.
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(self._watched(request, watch, limit_s))
        finally:
            loop.close()

    async def _watched(
        self, request: Request, watch: WhileWaiting | None, limit_s: float
    ) -> Answer:
        task = asyncio.ensure_future(self._limited(request, limit_s))
        try:
            while True:
                if watch is not None:
                    watch()
                done, _ = await asyncio.wait({task}, timeout=CANCEL_CHECK_INTERVAL_S)
                if done:
                    return task.result()
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _limited(self, request: Request, limit_s: float) -> Answer:
        try:
            async with asyncio.timeout(limit_s):
                return await self._send(request, limit_s)
        except TimeoutError as error:
            raise Broken(f"it took longer than {limit_s:g} s") from error

    async def _send(self, request: Request, limit_s: float) -> Answer:
        silence_s = min(self._pace.silence_s, limit_s)
        timeout = httpx.Timeout(silence_s, connect=min(self._pace.connect_s, limit_s))
        url = request.url
        async with httpx.AsyncClient(timeout=timeout, verify=self._tls) as client:
            for _ in range(MAX_REDIRECTS + 1):
                answer = await self._hop(client, request, url)
                location = answer.headers.get("location", "")
                if request.method != "GET" or not 300 <= answer.status < 400 or not location:
                    return answer
                url = urljoin(url, location)
        raise Broken("it led from one address to another without an end")

    async def _hop(self, client: httpx.AsyncClient, request: Request, url: str) -> Answer:
        if not self._account.is_fit(url):
            raise HostedError(
                HostedCode.SERVICE_FAILED,
                f"{self._account.login.title} named an address that isn't safe to open.",
                hint="Try again, and report it to the service.",
            )
        try:
            async with client.stream(
                request.method,
                url,
                json=request.json,
                data=request.form,
                files=_files(request),
                content=request.content,
                headers=self._headers(request, url),
            ) as response:
                body = await self._read(response)
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status_code, headers, body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise NotSent(_reason(error)) from None
        except httpx.TransportError as error:
            raise Broken(_reason(error)) from None
        except httpx.InvalidURL as error:
            raise Broken("it named an address that is none") from error

    async def _read(self, response: httpx.Response) -> bytes:
        pieces: list[bytes] = []
        size = 0
        async for piece in response.aiter_bytes():
            size += len(piece)
            if size > MAX_BODY_BYTES:
                raise HostedError(
                    HostedCode.SERVICE_FAILED,
                    f"{self._account.login.title} sent more than {MAX_BODY_BYTES >> 20} MiB.",
                    hint="Select less.",
                )
            pieces.append(piece)
        return b"".join(pieces)

    def _headers(self, request: Request, url: str) -> dict[str, str]:
        headers = {
            "User-Agent": f"reapaint/{__version__}",
            # No compression is accepted, since a small body could unpack to a huge one.
            "Accept-Encoding": "identity",
            "Connection": "close",
            **request.headers,
        }
        if self._account.is_ours(url):
            headers["Authorization"] = f"{self._account.login.scheme} {self._account.key.reveal()}"
        return headers


def _files(request: Request) -> dict[str, tuple[str, bytes, str]] | None:
    if request.file is None:
        return None
    name, content = request.file
    return {name: ("window.wav", content, "audio/wav")}


def _reason(error: httpx.TransportError) -> str:
    """Return an error's own words, which contain neither headers nor addresses."""
    if isinstance(error, httpx.TimeoutException):
        return "it did not answer in time"
    return str(error).rstrip(".") or "the connection broke"
