"""How well a model predicts held-out text: nats, perplexity per token, bits per byte.

Each document stands alone. Every token of it is predicted once: the first from the tokenizer's begin of text (its end
of text where it has none), all others from the document's tokens before. A document longer than the window is read in
windows that overlap by half, and a token counts in the first window that reaches it; so it is predicted from at least
half a window wherever the document has that much before it. Nothing is sampled and nothing depends on batches, so two
models, or one before and after training, are measured on the same predictions.

Perplexity per token depends on the tokenizer: compare it between models that share one. Bits per byte of UTF-8 are
the same question to every tokenizer.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mathcode_assets.evaluation.items import ItemsError

# Positions whose logits are turned into probabilities at a time: 256 x 128,256 values in fp32 are 131 MB.
POSITIONS_AT_A_TIME = 256

# (ids before, ids to predict) -> nats of the latter, summed.
Predict = Callable[[Sequence[int], Sequence[int]], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLoss:
    """One document: its tokens, its bytes of UTF-8, and the nats the model needed for it."""

    n_tokens: int
    n_bytes: int
    nats: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutLoss:
    """A whole file.

    Attributes:
        sha256: of the texts in order.
        window: most tokens seen at a time.
        documents: in the order of the file.
    """

    sha256: str
    window: int
    documents: tuple[DocumentLoss, ...]

    @property
    def n_tokens(self) -> int:
        """Of all documents."""
        return sum(document.n_tokens for document in self.documents)

    @property
    def perplexity(self) -> float:
        """exp(nats per token), over all tokens of all documents."""
        nats = math.fsum(document.nats for document in self.documents)
        try:
            return math.exp(nats / self.n_tokens)
        except OverflowError:
            return math.inf

    @property
    def bits_per_byte(self) -> float:
        """Bits for a byte of the text as UTF-8."""
        nats = math.fsum(document.nats for document in self.documents)
        return nats / math.log(2) / sum(document.n_bytes for document in self.documents)

    @property
    def bits_per_byte_error(self) -> float | None:
        """Standard error of `bits_per_byte` over documents (of a ratio, by linearisation); None for a single one."""
        n = len(self.documents)
        if n < 2:
            return None
        mean_bytes = sum(document.n_bytes for document in self.documents) / n
        residuals = [found.nats / math.log(2) - self.bits_per_byte * found.n_bytes for found in self.documents]
        return math.sqrt(math.fsum(value * value for value in residuals) / (n * (n - 1))) / mean_bytes

    def as_dict(self) -> dict[str, Any]:
        """JSON values, totals included."""
        totals = {
            "n_tokens": self.n_tokens,
            "perplexity": self.perplexity,
            "bits_per_byte": self.bits_per_byte,
            "bits_per_byte_error": self.bits_per_byte_error,
        }
        return {**asdict(self), "documents": [asdict(document) for document in self.documents], **totals}


def read_texts(path: Path) -> list[str]:
    """The column `text` of a Parquet file, or the field `text` of JSON lines.

    Raises:
        ItemsError: it cannot be read, a line has no text, or there is none.
    """
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            texts = pq.read_table(path, columns=["text"]).column("text").to_pylist()
        else:
            # Only a line feed ends a record: texts hold U+2028 and form feeds.
            lines = path.read_text(encoding="utf-8").split("\n")
            texts = [json.loads(line)["text"] for line in lines if line.strip()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ItemsError(f"held_out: {path.name} cannot be read: {type(error).__name__}: {error}") from error
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise ItemsError(f"held_out: {path.name}: wants records with a text each, none of them empty")
    return texts


def measure(
    texts: Sequence[str], encode: Callable[[str], Sequence[int]], prefix: int, window: int, predict: Predict
) -> HeldOutLoss:
    """The loss on every text.

    Args:
        texts: not empty.
        encode: text -> ids, without any special token.
        prefix: id the first token is predicted from.
        window: at least 2.
        predict: the model.
    """
    digest = hashlib.sha256()
    documents = []
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
        ids = list(encode(text))
        nats = math.fsum(predict(before, targets) for before, targets in windows(ids, prefix=prefix, window=window))
        documents.append(DocumentLoss(n_tokens=len(ids), n_bytes=len(data), nats=nats))
    return HeldOutLoss(sha256=digest.hexdigest(), window=window, documents=tuple(documents))


def windows(ids: Sequence[int], *, prefix: int, window: int) -> Iterator[tuple[list[int], list[int]]]:
    """What is seen before, and what is predicted, window after window; together the latter are `ids`."""
    stream = [prefix, *ids]
    # The model reads `window` ids and predicts what follows each of them.
    done, step = 0, max(1, window // 2)
    while done < len(ids):
        n_new = min(window if done == 0 else step, len(ids) - done)
        end = done + n_new  # the last of stream[:end + 1] is predicted, not read
        yield stream[max(0, end - window) : done + 1], stream[done + 1 : end + 1]
        done = end


def measure_harness_model(model: Any, texts: Sequence[str], window: int) -> HeldOutLoss:
    """`measure` with the model and tokenizer that lm-evaluation-harness has loaded (its class `hf`)."""

    def encode(text: str) -> list[int]:
        return model.tokenizer.encode(text, add_special_tokens=False)

    predict = predict_with(model._model_call, model.device)
    return measure(texts, encode, model.prefix_token_id, min(window, model.max_length), predict)


def predict_with(call: Callable[[Any], Any], device: Any) -> Predict:
    """The prediction of a transformers model, log-probabilities in fp32, their sum in fp64.

    Args:
        call: ids of shape (1, n) -> logits of shape (1, n, vocabulary), without gradients.
        device: of the ids.
    """
    from transformers import BatchEncoding

    def predict(before: Sequence[int], targets: Sequence[int]) -> float:
        ids = BatchEncoding({"input_ids": [[*before, *targets]]}, tensor_type="pt")["input_ids"].to(device)
        logits = call(ids[:, :-1])[0, len(before) - 1 :]
        wanted = ids[0, len(before) :].to(logits.device)
        parts = zip(logits.split(POSITIONS_AT_A_TIME), wanted.split(POSITIONS_AT_A_TIME), strict=True)
        return -math.fsum(
            part.float().log_softmax(-1).gather(1, ids.unsqueeze(1)).double().sum().item() for part, ids in parts
        )

    return predict
