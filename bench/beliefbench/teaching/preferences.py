"""Direct preference optimisation, the paper's ablation: the teacher's answer over each other one (Rafailov et al.).

TRL computes the loss and the reference model. This module chooses the preferred and rejected answers, and makes the
tokens, so that both answers follow exactly the prompt that the model is asked with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from beliefbench.errors import UsageError
from beliefbench.language.local.chat_format import ChatFormat
from beliefbench.language.local.loading import quietly
from beliefbench.language.questions.dialogue import Message
from beliefbench.language.questions.words import answer
from beliefbench.teaching.reading import OPTIONS, Conversation
from beliefbench.teaching.trainer import WholeBatchLoss

BETA = 0.1
"""The strength of the pull towards the base model; TRL's default."""


@dataclass(frozen=True)
class Preference:
    """A conversation that ends with a question, the teacher's answer, and one of the other answers."""

    chat: tuple[Message, ...]
    chosen: str
    rejected: str

    def tokens(self, speech: ChatFormat) -> dict[str, list[int]]:
        """Return the tokens that the answers share, and the others of each answer, as TRL names them."""
        chat, both = list(self.chat), (self.chosen, self.rejected)
        start, coded = speech.answered(chat, both)
        chosen, rejected = (
            speech.ended(chat, one, tokens, start)[start:] for one, tokens in zip(both, coded, strict=True)
        )
        return {"prompt_ids": coded[0][:start], "chosen_ids": chosen, "rejected_ids": rejected}


def pairs(conversations: Iterable[Conversation]) -> Iterator[Preference]:
    """Yield the teacher's preferences: one for each other answer.

    Raises
    ------
    UsageError
        If a teacher's answer is a distribution, or names no option.

    >>> from beliefbench.teaching.reading import TaughtTurn
    >>> said = ({"role": "user", "content": "Which?"}, {"role": "assistant", "content": answer("Flight", 1)})
    >>> for pair in pairs([Conversation(said, (TaughtTurn(1, (answer("Flight", 1),), (1.0,)),))]):
    ...     print(pair.chosen, pair.rejected)
    The best option is Flight 2. The best option is Flight 1.
    The best option is Flight 2. The best option is Flight 3.
    """
    for conversation in conversations:
        for taught in conversation.taught:
            if len(taught.answers) > 1:
                raise UsageError(
                    "--dpo needs one answer per question; make the data with --teacher bayesian or oracle."
                )
            item = taught.answers[0].removeprefix("The best option is ").rpartition(" ")[0]
            every = [answer(item, option) for option in range(OPTIONS)]
            if taught.answers[0] not in every:
                raise UsageError(f"--dpo takes answers such as '{answer('Flight', 0)}'; not '{taught.answers[0]}'.")
            for other in every:
                if other != taught.answers[0]:
                    yield Preference(conversation.messages[: taught.at], taught.answers[0], other)


def preference_trainer(
    model: Any, tokenizer: Any, found: Sequence[dict[str, list[int]]], arguments: dict[str, Any], **more: Any
) -> Any:
    """Return TRL's trainer on the tokens of some preferences; ``arguments`` as for `transformers.TrainingArguments`."""
    tokenizer = deepcopy(tokenizer)
    # Masked, so any token will do; a padding token of the tokenizer may have no embedding.
    tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    with quietly():
        from datasets import Dataset, disable_progress_bars
        from trl.trainer.dpo_config import DPOConfig
        from trl.trainer.dpo_trainer import DPOTrainer

        class Trainer(WholeBatchLoss, DPOTrainer):
            """TRL's trainer on tokens that are made already."""

            def _prepare_dataset(self, dataset: Any, *others: Any) -> Any:
                return dataset

            def items(self, batch: dict[str, Any]) -> Any:
                return batch["input_ids"].new_tensor(len(batch["input_ids"]) // 2)  # each pair is two rows

        disable_progress_bars()
        config = DPOConfig(
            **arguments,
            beta=BETA,
            max_length=None,  # what is too long was refused
            precompute_ref_log_probs=True,  # no second model in memory
        )
        return Trainer(
            model=model,
            args=config,
            train_dataset=Dataset.from_list(list(found)),
            processing_class=tokenizer,
            **more,
        )
