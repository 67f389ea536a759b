"""``beliefbench import PATH``: the paper's released files become domains with recorded users.

Every text is compared with the domain's own text, and every stored choice with the stored weights. The first difference
is named with its file and line, and nothing of that domain is imported. If WebShop's product files are in the folder
too, they become shopping domains.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import numpy as np

from beliefbench.choice_models.catalogue import Catalogue
from beliefbench.domain import Domain
from beliefbench.errors import UsageError, cut
from beliefbench.exact.latents import latent_space
from beliefbench.protocol.episodes import choice_probs
from beliefbench.released.files import (
    Heldout,
    Interaction,
    read_heldout,
    read_interactions,
    read_shopper_heldout,
    split_option,
)
from beliefbench.released.matching import domain_of, hypotheses_of, values_of
from beliefbench.released.people import fitted_lapses
from beliefbench.released.products import find_products, read_products
from beliefbench.released.shoppers import shopper_domain
from beliefbench.released.storage import RecordedUsers, write_products, write_record, write_shoppers

Report = Callable[[str], None]
EVERY = 1000
"""Users between two reports of progress."""
PEOPLE = "people"
HUMAN_FILE = re.compile(r"human", re.IGNORECASE)


def import_path(path: Path, report: Report, progress: Report = lambda sentence: None) -> list[str]:
    """Import all released files below a folder, or one interaction file; return the names of their domains.

    Product files of WebShop (``items_shuffle*.json`` with ``items_ins_v2*.json``) are imported too.

    Parameters
    ----------
    report
        Called with one sentence per domain.
    progress
        Called with what is done, each 1,000 users.

    Raises
    ------
    UsageError
        If there is nothing to import, a file is faulty (the error names the file and the line), two files are of one
        domain, or less would replace more that was imported before.
    """
    if not path.exists():
        raise UsageError(f"'{path}' is not there; name the folder of the released files, or one interaction file.")
    interactions, heldout_files = _files(path)
    heldouts = [read_heldout(file) for file in heldout_files if file.suffix == ".json"]
    done: list[str] = []
    for file in interactions:
        users = read_interactions(file, _counting(progress, f"{file.name}: users read"))
        if users[0].goal_attrs is not None:
            name, write = _shoppers(file, users, heldout_files, report)
        else:
            counting = _counting(progress, f"{file.name}: users compared")
            name, write = _users(file, users, heldouts, report, counting)
        if name in done:
            raise UsageError(
                f"{file} is of {name}, and so is another file in '{path}'; leave one of them in the folder."
            )
        write()
        done.append(name)
    for items, attributes in find_products(path) if path.is_dir() else []:
        done += _import_products(items, attributes, report)
    if not done:
        raise UsageError(
            f"'{path}' has no interaction file (*.jsonl) and no product files (items_shuffle*.json); name the folder "
            "of the released files."
        )
    return done


def _counting(progress: Report, what: str) -> Callable[[int], None]:
    def count(done: int) -> None:
        if done % EVERY == 0:
            progress(f"{what}: {done:,}")

    return count


def _files(path: Path) -> tuple[list[Path], list[Path]]:
    """Return the interaction files and the held-out files below a path."""
    if path.is_file():
        return [path], []
    found = [file for file in sorted(path.rglob("*.json*")) if "train" not in file.relative_to(path).parts]
    heldout = [file for file in found if "heldout" in file.relative_to(path).parts]
    return [file for file in found if file.suffix == ".jsonl" and file not in heldout], heldout


def _shoppers(
    file: Path, users: list[Interaction], heldout_files: Sequence[Path], report: Report
) -> tuple[str, Callable[[], None]]:
    """Return the name of the domain of shoppers, and a function that writes and reports them."""
    heldout_file = next((one for one in heldout_files if one.name == file.name), None)
    if heldout_file is None:
        raise UsageError(f"{file}: shoppers need their held-out file, heldout/**/{file.name}; name the folder of both.")
    name = f"webshop-{_plain(file.stem)}"
    heldout = read_shopper_heldout(heldout_file)
    domain = shopper_domain(f"released/{name}", users, heldout)
    known = domain.parameters
    same, total = known["scores_reproduced"]

    def write() -> None:
        write_shoppers(name, file, heldout_file)
        report(
            f"{domain.name}: {len(users):,} shoppers, {known['goals']:,} goals; the texts reproduce {same:,} of "
            f"{total:,} stored scores. The exact answer {known['exact_answer']}."
        )

    return domain.name, write


def _users(
    file: Path, users: list[Interaction], heldouts: Sequence[Heldout], report: Report, progress: Callable[[int], None]
) -> tuple[str, Callable[[], None]]:
    """Return the name of the domain of users, and a function that writes and reports them."""
    record, said = _record(file, users, heldouts, progress)

    def write() -> None:
        write_record(record, file)
        report(said)

    return f"released/{record.name}", write


def _import_products(items: Path, attributes: Path, report: Report) -> list[str]:
    catalogues: dict[str, Catalogue] = {}
    for category, catalogue in read_products(items, attributes).items():
        plain = _plain(category)
        alike = (f"{plain}-{number}" for number in count(2))  # "Men's shirts" and "mens shirts" are two
        catalogues[plain if plain not in catalogues else next(one for one in alike if one not in catalogues)] = (
            catalogue
        )
    write_products(catalogues, items)
    goods = sum(len(one.products) for one in catalogues.values())
    report(f"{items.name}: {goods:,} products in {len(catalogues):,} categories with two goals or more.")
    return [f"products/{name}" for name in catalogues]


def _plain(text: str) -> str:
    """Return a name that is valid in a SPEC and as a file name: ``mens_shirts`` -> ``mens-shirts``."""
    return re.sub(r"[\W_]+", "-", text.lower()).strip("-")


def _record(
    file: Path, users: list[Interaction], heldouts: Sequence[Heldout], progress: Callable[[int], None]
) -> tuple[RecordedUsers, str]:
    """Return the users in a file, and a sentence on them."""
    item, _ = split_option(users[0].options[0][0], 1)
    features = users[0].features or ()
    domain = domain_of(features, item, f"{file}, line {users[0].line}")
    rounds = []
    for user in users:
        rounds.append(_rounds(domain, user))
        progress(len(rounds))
    options = np.stack(rounds)
    chosen = np.array([user.chosen for user in users])
    sources = {file.name: _sha256(file)}
    shared = {
        "base": domain.name,
        "options": options.tolist(),
        "chosen": chosen.tolist(),
    }
    if HUMAN_FILE.search(file.name):
        if len(users) < 2:
            raise UsageError(f"{file}: a lapse is fitted on other people; expected 2 people or more.")
        lapses = fitted_lapses(domain, options, chosen)
        said = (
            f"released/{PEOPLE}: {len(users):,} people, {chosen.shape[1] - 1} rounds; each one's last round is held "
            f"out. The gold standard takes {np.median(lapses):.0%} of choices for random, fitted on the other people."
        )
        record = RecordedUsers(
            name=PEOPLE, sources=sources, heldout=None, truth=None, hypotheses=None, lapse=lapses.tolist(), **shared
        )
        return record, said
    hypotheses = hypotheses_of(domain, np.array([user.reward_fn for user in users]))
    for user, number in zip(users, hypotheses, strict=True):
        if number < 0:
            raise UsageError(
                f"{user.file}, line {user.line}: `reward_fn` is {list(user.reward_fn or ())}, which nobody in "
                f"{domain.name} has; expected weights of -1, -0.5, 0, 0.5 or 1, not all 0."
            )
    where = [
        [f"{user.file}, line {user.line}: round {number + 1}" for number in range(len(user.chosen))] for user in users
    ]
    ties = _ties(domain, hypotheses, options, chosen, where)
    heldout = next((one for one in heldouts if one.features == features and _item(one) == item), None)
    sets = truth = None
    held = "each one's last round is held out, since there is no held-out file beside it"
    if heldout is not None:
        sets, truth = _heldout(domain, heldout, users)
        asked = np.broadcast_to(sets, (len(users), *sets.shape))
        places = [[f"{heldout.file}: set {number}" for number in range(len(sets))]] * len(users)
        ties += _ties(domain, hypotheses, asked, truth, places)
        sources[heldout.file.name] = _sha256(heldout.file)
        held = f"{len(sets):,} held-out sets"
    total = chosen.size + (0 if truth is None else truth.size)
    said = (
        f"released/{domain.name}: {len(users):,} users, {chosen.shape[1]} rounds, {held}; all {total:,} stored "
        f"choices agree with the stored weights, {ties:,} of them tie with others."
    )
    record = RecordedUsers(
        name=domain.name,
        sources=sources,
        heldout=None if sets is None else sets.tolist(),
        truth=None if truth is None else truth.tolist(),
        hypotheses=hypotheses.tolist(),
        lapse=None,
        **shared,
    )
    return record, said


def _rounds(domain: Domain, user: Interaction) -> np.ndarray:
    """Return the features of a user's rounds, float64[rounds, 3, features]."""
    where = [f"{user.file}, line {user.line}: round {number + 1}" for number in range(len(user.chosen))]
    rounds = np.array([_set(domain, texts, at) for texts, at in zip(user.options, where, strict=True)])
    if user.rounds_numpy is not None:
        off = np.argwhere(abs(np.array(user.rounds_numpy) - rounds) > 1e-6)
        if len(off):
            number, option, feature = off[0]
            raise UsageError(
                f"{where[number]}, option {option + 1}: `rounds_numpy` says {domain.features[feature].name} = "
                f"{user.rounds_numpy[number][option][feature]:g}, and the text {rounds[number, option, feature]:g}."
            )
    return rounds


def _set(domain: Domain, texts: Sequence[str], where: str) -> list[np.ndarray]:
    values = []
    for number, text in enumerate(texts, start=1):
        inner = split_option(text, number)[1]
        found = values_of(domain, inner)
        if found is None:
            example = domain.describe(np.array([feature.grid[0] for feature in domain.features]))
            raise UsageError(
                f"{where}, option {number}: '{cut(inner)}' is no text of {domain.name}; one is '{example}'."
            )
        values.append(found)
    return values


def _heldout(domain: Domain, heldout: Heldout, users: list[Interaction]) -> tuple[np.ndarray, np.ndarray]:
    """Return the held-out sets, float64[sets, 3, features], and the users' choices, int[users, sets].

    Entries belong to users by their weights; of users with the same weights, the first has the first entry."""
    sets = np.array(
        [_set(domain, texts, f"{heldout.file}: all_options[{at}]") for at, texts in enumerate(heldout.options)]
    )
    entries: dict[tuple[float, ...], list[tuple[int, ...]]] = {}
    for one in heldout.users:
        entries.setdefault(one.reward_fn, []).append(one.idxs)
    alike = Counter(user.reward_fn or () for user in users)
    left = {weights: iter(idxs) for weights, idxs in entries.items()}
    truth = []
    for user in users:
        weights = user.reward_fn or ()
        given, expected = entries.get(weights, []), alike[weights]
        what, whose = f"the `reward_fn` {list(weights)}", f"{user.file}, line {user.line}"
        if not given:
            raise UsageError(f"{heldout.file}: no entry of `user_idxs` has {what} of {whose}.")
        if len(set(given)) == 1:
            truth.append(given[0])
        elif len(given) == expected:
            truth.append(next(left[weights]))
        else:
            raise UsageError(
                f"{heldout.file}: {len(given)} entries of `user_idxs` have {what} of {whose}, with different answers, "
                f"and {expected} users have it; give each of these users one entry, in the order of the users."
            )
    return sets, np.array(truth)


def _ties(
    domain: Domain, hypotheses: np.ndarray, options: np.ndarray, chosen: np.ndarray, where: list[list[str]]
) -> int:
    """Return the number of stored choices that tie with others; raise for a choice that contradicts the stored
    weights."""
    latents = latent_space(domain).values(hypotheses)
    probs = choice_probs(domain, {name: np.asarray(value) for name, value in latents.items()}, options)
    taken = np.take_along_axis(probs, chosen[..., None], axis=-1)[..., 0]
    off = np.argwhere(taken == 0)
    if len(off):
        user, number = off[0]
        raise UsageError(
            f"{where[user][number]}: the stored choice is option {chosen[user, number] + 1}, but `reward_fn` makes "
            f"option {probs[user, number].argmax() + 1} the best."
        )
    return int((taken < 1).sum())


def _item(heldout: Heldout) -> str:
    return split_option(heldout.options[0][0], 1)[0]


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
