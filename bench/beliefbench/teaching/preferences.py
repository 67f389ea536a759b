"""Direct preference optimisation, the paper's ablation: the teacher's answer over each other one (Rafailov et al.).

TRL computes the loss, the reference model and the tokens. This module chooses the preferred and rejected answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any

from beliefbench.errors import UsageError
from beliefbench.language.loading import quietly
from beliefbench.language.words import answer
from beliefbench.teaching.reading import OPTIONS, Conversation

BETA = 0.1
"""The strength of the pull towards the base model; TRL's default."""


def pairs(conversations: Iterable[Conversation]) -> Iterator[dict[str, Any]]:
    """Yield TRL's records: the conversation, the teacher's answer, and one of the other answers, once for each of them.

    Raises
    ------
    UsageError
        If a teacher's answer is a distribution, or names no option.

    >>> from beliefbench.teaching.reading import TaughtTurn
    >>> said = ({"role": "user", "content": "Which?"}, {"role": "assistant", "content": answer("Flight", 1)})
    >>> for pair in pairs([Conversation(said, (TaughtTurn(1, (answer("Flight", 1),), (1.0,)),))]):
    ...     print(pair["chosen"][0]["content"], pair["rejected"][0]["content"])
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
                    yield {
                        "prompt": list(conversation.messages[: taught.at]),
                        "chosen": [{"role": "assistant", "content": taught.answers[0]}],
                        "rejected": [{"role": "assistant", "content": other}],
                    }


def preference_trainer(
    model: Any, tokenizer: Any, found: list[dict[str, Any]], longest: int, arguments: dict[str, Any], **more: Any
) -> Any:
    """Return TRL's trainer on some pairs; ``arguments`` as for `transformers.TrainingArguments`.

    Raises
    ------
    UsageError
        If the model has no chat template.
    """
    if tokenizer.chat_template is None:
        raise UsageError("--dpo takes a model with a chat template; teach this one without --dpo.")
    tokenizer = deepcopy(tokenizer)
    tokenizer.pad_token = tokenizer.eos_token  # masked; a padding token of its own may have no embedding
    with quietly():
        from datasets import Dataset, disable_progress_bars
        from trl.trainer.dpo_config import DPOConfig
        from trl.trainer.dpo_trainer import DPOTrainer

        disable_progress_bars()
        config = DPOConfig(
            **arguments,
            beta=BETA,
            max_length=longest,
            precompute_ref_log_probs=True,  # no second model in memory
        )
        return DPOTrainer(
            model=model,
            args=config,
            train_dataset=Dataset.from_list(found),
            processing_class=tokenizer,
            **more,
        )
