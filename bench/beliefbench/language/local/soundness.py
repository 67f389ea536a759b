"""Whether a model's files make sense together: what would be computed with them, but would mean nothing, is refused.

transformers loads weights that are not numbers, takes a tokenizer without a vocabulary, which reads every text as
unknown, ignores a format of quantised weights that it does not know, and loads an adapter that is then not in effect.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from beliefbench.errors import BeliefBenchError
from beliefbench.language.local.chat_format import ChatFormat
from beliefbench.language.local.chat_template import ANSWER, TRIAL
from beliefbench.language.local.checkpoints import read_json
from beliefbench.language.questions.words import answer

SENTENCES = tuple(answer("Flight", option) for option in range(3))


def require_numbers(model: Any, place: object) -> None:
    """Raise `BeliefBenchError` if weights are not finite numbers; ``place`` is where they were read from."""
    broken = [name for name, weight in model.named_parameters() if not _is_finite(weight)]
    if broken:
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise BeliefBenchError(
            f"weights in '{place}' are not finite numbers ({broken[0]}{more}); download or copy the model again, or "
            "train it again."
        )


@torch.inference_mode()
def _is_finite(weight: torch.Tensor) -> bool:
    if not weight.is_floating_point() or weight.element_size() < 2 or weight.is_meta:  # packed, or not in memory
        return True
    # A sum takes no memory for a mask; it may overflow where no weight does.
    return bool(weight.sum().isfinite()) or bool(weight.isfinite().all())


def require_vocabulary(model: Any, speech: ChatFormat) -> None:
    """Raise `BeliefBenchError` if a tokenizer cannot tell the answers apart, or writes tokens that the model lacks."""
    coded = speech.encode(SENTENCES)
    if len(set(map(tuple, coded))) < len(SENTENCES) or not all(coded):
        raise BeliefBenchError(
            f"the model's tokenizer does not tell '{SENTENCES[0]}' from '{SENTENCES[1]}': its vocabulary lacks them "
            "or its files are not complete; download or copy them again, or use another model."
        )
    chat = TRIAL[:-1]
    ends = list(speech.endings(chat, ANSWER))[:1]
    (used,) = speech.encode([speech.render(chat) + ANSWER + "".join(ends)])
    known = getattr(model.get_input_embeddings(), "num_embeddings", None)
    if known is not None and max(used) >= known:
        raise BeliefBenchError(
            f"the model's tokenizer writes the token {max(used):,}, and the model has tokens 0 to "
            f"{known - 1:,}; use the tokenizer of this model, or resize the model's embeddings and train them."
        )


def require_known_format(told: dict[str, Any], place: object) -> None:
    """Raise `BeliefBenchError` if transformers does not know the format of quantised weights, as their configuration
    tells it."""
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    method = str(told.get("quant_method") or "bitsandbytes")
    if not method.startswith("bitsandbytes") and method not in AUTO_QUANTIZATION_CONFIG_MAPPING:
        raise BeliefBenchError(
            f"the weights in '{place}' are stored in the format '{method}', which transformers does not know; use a "
            "version of the model in another format."
        )


def require_whole_adapter(config: Any) -> None:
    """Raise `ValueError` if an adapter is of a kind that is not in effect at every token of a text."""
    if config.is_prompt_learning:
        raise ValueError(f"it is of the kind {config.peft_type}, which changes the prompt; expected LoRA or its like")
    if getattr(config, "alora_invocation_tokens", None):
        raise ValueError("it is an activated LoRA, which begins at certain tokens; expected LoRA or its like")


def require_same_template(tokenizer: Any, adapter: Path) -> None:
    """Raise `BeliefBenchError` if an adapter was saved with another chat template than the model's, which is used."""
    stored, config = adapter / "chat_template.jinja", adapter / "tokenizer_config.json"
    found: Any = None
    if stored.is_file():
        found = stored.read_text(encoding="utf-8")
    elif config.is_file():
        found = read_json(config).get("chat_template")
    own = tokenizer.chat_template
    own = own.get("default") if isinstance(own, dict) else own
    if isinstance(found, str) and found != own:
        raise BeliefBenchError(
            f"adapter '{adapter}' was saved with another chat template than the model's; copy its tokenizer's files "
            "to the model's folder if it was trained with them, otherwise remove them from the adapter's folder."
        )
