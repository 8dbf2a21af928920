"""The Hugging Face hub: what it offers, how its files come here, and what its cache holds.

The hub's own client starts a file anew after an interruption; these are gigabytes, so a
file is brought here by ranges, and an attempt goes on where the last one ended.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from reapaint_engine.backends.stable_audio_3.checkpoint.catalog import (
    INSTALL_COMMAND,
    MODELS,
    Model,
    needed_files,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.errors import StoreCode, StoreError
from reapaint_engine.backends.stable_audio_3.checkpoint.manifest import (
    File,
    OnMoreBytes,
    is_checksum,
    is_safe,
)
from reapaint_engine.protocol.errors import ErrorCode

MAX_EMPTY_ATTEMPTS = 5
"""So many attempts in a row may bring nothing before the network is given up."""
RETRY_PAUSE_S = 2.0
"""Between two attempts."""


class HubSource:
    """The newest revision of one checkpoint on the hub.

    Parameters
    ----------
    endpoint
        Another server than the public one; by default what ``HF_ENDPOINT`` says.
    pause
        Waits so many seconds between two attempts.

    Raises
    ------
    StoreError
        ``package_missing``, ``hub_unreachable``, ``hub_refused``, ``licence_not_accepted``,
        or ``model_broken`` where its page holds no checkpoint.
    """

    def __init__(
        self,
        model: Model,
        *,
        endpoint: str | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._model = model
        self._endpoint = endpoint
        self._pause = pause
        self._hub = _import_hub()
        self.origin = model.repo_id
        info = self._describe()
        self.revision = str(info.sha)
        self.files = self._needed(info.siblings or ())

    def bring(self, file: File, target: Path, on_bytes: OnMoreBytes) -> None:
        """Download one file; what an earlier attempt brought of it is kept.

        Raises
        ------
        StoreError
            What the hub or the network has against it.
        OSError
            The disk can't take it.
        """
        # Its checksum is in the name: no two revisions end up in one file.
        part = target.with_name(f"{target.name}.{file.checksum[:12]}.part")
        part.touch()
        on_bytes(min(part.stat().st_size, file.size))
        fruitless = 0
        while (have := part.stat().st_size) != file.size:
            if have > file.size:
                part.write_bytes(b"")
                on_bytes(-file.size)
            with self._explaining_errors():
                try:
                    self._append(file, part, on_bytes)
                except self._http_error() as error:
                    if not _is_temporary(error) or fruitless + 1 >= MAX_EMPTY_ATTEMPTS:
                        raise
            fruitless = 0 if part.stat().st_size > have else fruitless + 1
            if fruitless >= MAX_EMPTY_ATTEMPTS:
                raise _unreachable(self._model, "the hub ends the download early")
            if part.stat().st_size != file.size:
                self._pause(RETRY_PAUSE_S)
        part.replace(target)

    def _describe(self) -> Any:
        api = self._hub.HfApi(endpoint=self._endpoint)
        with self._explaining_errors():
            try:
                return api.model_info(self._model.repo_id, files_metadata=True)
            except (ValueError, TypeError, KeyError) as error:
                # A proxy or a network's sign-in page answers in the hub's place.
                raise _unreachable(self._model, "what answers is not the hub") from error

    def _append(self, file: File, part: Path, on_bytes: OnMoreBytes) -> None:
        """Ask for what is missing of a file, and write what comes."""
        have = part.stat().st_size
        utils = self._hub.utils
        headers = {**utils.build_hf_headers(), "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        url = self._hub.hf_hub_url(
            self._model.repo_id, file.path, revision=self.revision, endpoint=self._endpoint
        )
        session = utils.get_session()
        timeout_s = self._hub.constants.HF_HUB_DOWNLOAD_TIMEOUT
        with session.stream("GET", url, headers=headers, timeout=timeout_s) as response:
            utils.hf_raise_for_status(response)
            if have and response.status_code != 206:
                on_bytes(-have)  # it sends all of it again
                have = 0
            with part.open("r+b") as writer:
                writer.truncate(have)
                writer.seek(have)
                for chunk in response.iter_bytes():
                    writer.write(chunk)
                    on_bytes(len(chunk))

    def _needed(self, siblings: Any) -> tuple[File, ...]:
        offered = {each.rfilename: each for each in siblings}
        paths = needed_files(path for path in offered if is_safe(path))
        files = tuple(_file(offered[path]) for path in paths)
        if not files or not all(is_checksum(file.checksum) for file in files):
            raise StoreError(
                ErrorCode.MODEL_BROKEN,
                f"{self._model.page} holds no checkpoint that this version understands.",
                hint="Look for a newer ReaPaint with `pip install --upgrade reapaint`.",
            )
        return files

    def _http_error(self) -> type[Exception]:
        """Return the root of what the client raises for the network and for refusals."""
        root: type[Exception] = self._hub.errors.HTTPError
        return root

    @contextlib.contextmanager
    def _explaining_errors(self) -> Iterator[None]:
        """Say what a user can do about what the hub's client raises."""
        errors = self._hub.errors
        try:
            yield
        except (errors.HTTPError, errors.OfflineModeIsEnabled) as error:
            raise _explain(self._hub, self._model, error) from error


# The cache


def cache_folder() -> Path | None:
    """Return where the hub's client keeps what it downloads; None where it isn't installed."""
    try:
        from huggingface_hub import constants  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    return Path(constants.HF_HUB_CACHE)


def cached_snapshots(repo_id: str) -> list[Path]:
    """Return the revisions of a repository in the cache, ``main`` first, then the newest.

    Notes
    -----
    The layout is documented by the hub's client: ``models--OWNER--NAME`` holds ``refs/``,
    ``snapshots/REVISION/`` with links, and ``blobs/``, named by their checksums.
    """
    cache = cache_folder()
    if cache is None:
        return []
    repository = cache / _repository_name(repo_id)
    try:
        main = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        main = ""
    try:
        snapshots = [path for path in (repository / "snapshots").iterdir() if path.is_dir()]
        return sorted(snapshots, key=lambda path: (path.name != main, -path.stat().st_mtime))
    except OSError:
        return []


def cached_blobs() -> dict[str, Path]:
    """Return the files of every checkpoint in the cache, whole or not, by their checksums."""
    cache = cache_folder()
    if cache is None:
        return {}
    blobs: dict[str, Path] = {}
    for model in MODELS:
        folder = cache / _repository_name(model.repo_id) / "blobs"
        with contextlib.suppress(OSError):
            blobs |= {path.name: path for path in folder.iterdir() if is_checksum(path.name)}
    return blobs


def _repository_name(repo_id: str) -> str:
    return "models--" + repo_id.replace("/", "--")


# What the client says


def _import_hub() -> Any:
    try:
        import huggingface_hub  # type: ignore[import-not-found,unused-ignore]
        import huggingface_hub.constants  # type: ignore[import-not-found,unused-ignore]
        import huggingface_hub.errors  # type: ignore[import-not-found,unused-ignore]
        import huggingface_hub.utils  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise StoreError(
            ErrorCode.PACKAGE_MISSING,
            "Downloading needs packages that are not installed.",
            hint=f"Install them with `{INSTALL_COMMAND}`, or bring a folder with --from DIR.",
        ) from error
    return huggingface_hub


def _file(sibling: Any) -> File:
    checksum = sibling.lfs.sha256 if sibling.lfs is not None else sibling.blob_id
    return File(sibling.rfilename, int(sibling.size or 0), checksum or "")


def _status(error: Exception) -> int:
    """Return the HTTP status that an error is about, or 0 where nobody answered."""
    return int(getattr(getattr(error, "response", None), "status_code", 0))


def _is_temporary(error: Exception) -> bool:
    """Tell whether another attempt may succeed: no answer, too many requests, or a fault there."""
    status = _status(error)
    return status in (0, 408, 429) or status >= 500


def _explain(hub: Any, model: Model, error: Exception) -> StoreError:
    errors, status = hub.errors, _status(error)
    has_token = hub.get_token() is not None
    if isinstance(error, errors.OfflineModeIsEnabled):
        return StoreError(
            StoreCode.HUB_UNREACHABLE,
            "HF_HUB_OFFLINE keeps the hub's client from the network.",
            hint="Unset it, or bring a folder with --from DIR.",
        )
    if isinstance(error, errors.GatedRepoError) or (
        isinstance(error, errors.RepositoryNotFoundError) and status == 401 and not has_token
    ):
        return _gated(model, has_token=has_token)
    if status in (401, 403):
        return StoreError(
            StoreCode.HUB_REFUSED,
            f"The hub refuses {model.name} to the token that is used here ({status}).",
            hint="Sign in again with `hf auth login`, or set HF_TOKEN to a token that may read"
            f" gated repositories, of an account that accepted the licence at {model.page}.",
        )
    if status == 404:
        return StoreError(
            StoreCode.HUB_REFUSED,
            f"{model.name} is not to be found at {model.page}.",
            hint="Look there for where it went, or bring a folder with --from DIR.",
        )
    reason = f"it answers with {status}" if status else str(error) or type(error).__name__
    return _unreachable(model, reason)


def _gated(model: Model, *, has_token: bool) -> StoreError:
    sign_in = (
        "with the account that your token belongs to"
        if has_token
        else "then sign in with `hf auth login` or set HF_TOKEN"
    )
    return StoreError(
        StoreCode.LICENCE_NOT_ACCEPTED,
        f"{model.name} is given only to who has accepted its licence.",
        hint=f"Accept it at {model.page}, {sign_in}, and run `reapaint models get {model.name}`"
        " again.",
    )


def _unreachable(model: Model, reason: str) -> StoreError:
    return StoreError(
        StoreCode.HUB_UNREACHABLE,
        f"The Hugging Face hub can't be reached: {reason}.",
        hint=f"Run `reapaint models get {model.name}` again when the network is back; what has"
        " come so far is kept. Without a network, bring a folder with --from DIR.",
    )
