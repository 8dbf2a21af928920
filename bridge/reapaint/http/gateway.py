"""What all routes share: the gateway's parts, and what several of them do."""

import asyncio
import base64
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from starlette.requests import Request

from reapaint.http import webhooks
from reapaint.http.bodies import BodyBudget
from reapaint.http.config import HttpConfig
from reapaint.http.engine import SharedEngine
from reapaint.http.errors import HttpCode, Refused, not_found
from reapaint.http.fetching import Network
from reapaint.http.intake import check_audio, is_data_uri, take_audio
from reapaint.http.prediction_runner import PredictionRunner
from reapaint.http.predictions import Prediction, PredictionRequest, Predictions, Take
from reapaint.http.store import Place, Store, StoredFile

SWEEP_S = 30.0

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Gateway:
    """One gateway's parts; it belongs to the event loop."""

    config: HttpConfig
    engine: SharedEngine
    network: Network
    folder: Path
    webhook_pauses_s: tuple[float, ...] = webhooks.PAUSES_S
    port: int = 0

    def __post_init__(self) -> None:
        limits = self.config.limits
        self.bodies = BodyBudget(limits.max_bodies_bytes)
        self.uploads = asyncio.Semaphore(limits.max_uploads)
        self.store = Store(self.folder, limits.quota_bytes, limits.max_upload_bytes, limits.keep_s)
        self.predictions = Predictions(
            max_waiting=limits.max_waiting,
            max_kept=limits.max_predictions,
            keep_s=limits.keep_s,
        )
        self.runner = PredictionRunner(
            engine=self.engine,
            store=self.store,
            network=self.network,
            limits=limits,
            predictions=self.predictions,
            on_end=self._tell,
        )
        self._tasks: set[asyncio.Task[object]] = set()

    async def start(self) -> None:
        """Begin: with an empty store, and with what has expired being removed."""
        await asyncio.to_thread(self.store.open)
        self._keep(asyncio.create_task(self._sweep()))

    async def close(self) -> None:
        """End all jobs, and what goes on in the background."""
        await self.runner.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self.store.close)

    # Requests

    def base_url(self, request: Request) -> str:
        """Return how a client reaches the gateway: as it says, unless a proxy is in between."""
        if self.config.public_url:
            return self.config.public_url
        host = request.headers.get("host") or f"{self.config.host}:{self.port}"
        return f"{request.url.scheme}://{host}"

    async def submit(self, request: PredictionRequest) -> Prediction:
        """Take on what was asked, after a first look at it.

        Raises
        ------
        Refused
            It can't be, or not now.
        """
        check_audio(request.audio, self.store, self.network)
        if not is_data_uri(request.audio):
            return self.runner.submit(request)
        # What waits is on the disk, not in memory.
        limits = self.config.limits
        file = await asyncio.to_thread(take_audio, request.audio, self.store, self.network, limits)
        try:
            return self.runner.submit(replace(request, audio=file.file_id, is_inline=True))
        except Refused:
            self.store.remove(file)
            raise

    def find(self, prediction_id: str) -> Prediction:
        """Return the prediction of an id.

        Raises
        ------
        Refused
            404.
        """
        prediction = self.predictions.find(prediction_id)
        if prediction is None:
            raise not_found("such prediction", "It was never made, or has expired.")
        return prediction

    def find_file(self, file_id: str) -> StoredFile:
        """Return the file of an id.

        Raises
        ------
        Refused
            404.
        """
        file = self.store.find(file_id)
        if file is None:
            raise not_found("such file", "It was never there, or has expired.")
        return file

    def delete(self, prediction: Prediction) -> None:
        """Forget a prediction and its files.

        Raises
        ------
        Refused
            409: it has not ended.
        """
        if not prediction.has_ended:
            raise Refused(
                409,
                HttpCode.IN_USE,
                "The prediction has not ended.",
                hint="Cancel it first.",
            )
        self.runner.remove(prediction)

    async def wait(self, prediction: Prediction, timeout_s: float) -> bool:
        """Wait for a prediction's end; tells whether it came in time."""
        try:
            await asyncio.wait_for(prediction.ended.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def link(self, file: StoredFile | Place, base_url: str) -> str:
        """Return the address of a file, or of what will be uploaded to a place."""
        return f"{base_url}/files/{file.file_id}/{file.name}"

    def upload_link(self, place: Place, base_url: str) -> str:
        """Return the address that takes the file of a place."""
        return f"{base_url}/uploads/{place.secret}"

    def links(self, prediction: Prediction, base_url: str) -> tuple[str, ...]:
        """Return the address of each take."""
        return tuple(self.link(take.file, base_url) for take in prediction.takes)

    async def outputs(self, prediction: Prediction, base_url: str) -> tuple[str, ...]:
        """Return each take as the client wanted it: an address, or the file itself."""
        limit = self.config.limits.max_base64_bytes
        size = sum(take.file.size for take in prediction.takes)
        if not prediction.request.wants_base64 or size > limit:
            return self.links(prediction, base_url)
        try:
            return await asyncio.to_thread(
                lambda: tuple(_as_data_uri(take) for take in prediction.takes)
            )
        except OSError:
            # It has expired this moment; its address says so.
            return self.links(prediction, base_url)

    # In the background

    def _tell(self, prediction: Prediction) -> None:
        if prediction.request.webhook.url:
            self._keep(asyncio.create_task(self._send_webhook(prediction)))

    async def _send_webhook(self, prediction: Prediction) -> None:
        webhook = prediction.request.webhook
        outputs = await self.outputs(prediction, prediction.request.base_url)
        body = msgspec.json.encode(webhook.content(prediction, outputs))
        secret = webhook.secret or webhooks.load_secret()
        headers = {
            "Content-Type": "application/json",
            **webhooks.signed(body, prediction.prediction_id, secret),
        }
        await webhooks.send(
            webhook.url,
            body,
            headers,
            network=self.network,
            pauses_s=self.webhook_pauses_s,
        )

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            for prediction in self.predictions.old():
                self.runner.remove(prediction)
            await asyncio.to_thread(self.store.sweep)

    def _keep(self, task: "asyncio.Task[object]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _as_data_uri(take: Take) -> str:
    data = base64.b64encode(take.file.path.read_bytes()).decode("ascii")
    return f"data:{take.file.media_type};base64,{data}"
