"""``beliefbench import``: the released files become domains with recorded users, and what is off is named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from typer.testing import CliRunner

import beliefbench as bb
from beliefbench.cli import batch
from beliefbench.cli.main import app
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
from beliefbench.released.importing import import_path

from .two_features import PEOPLE, Files, best, texts


@pytest.fixture
def files(tmp_path, data_folder) -> Files:
    return Files(tmp_path / "files")


def test_every_stored_choice_of_noiseless_users_is_theirs_and_ties_are_counted(files):
    said: list[str] = []
    assert import_path(files.write(), said.append) == ["released/flights-2"]
    ties = sum(
        len(best(weights, one)) > 1
        for at, weights in enumerate(files.people)
        for one in [*files.sets[at], *files.heldout_sets]
    )
    assert said == [
        "released/flights-2: 12 users, 5 rounds, 6 held-out sets; all 132 stored choices agree with the stored "
        f"weights, {ties} of them tie with others."
    ]


def test_a_run_asks_what_was_recorded(files):
    import_path(files.write(), lambda line: None)
    domain = bb.load_domain("released/flights-2")
    episodes = Episodes(domain, Protocol.of(domain))
    assert episodes.protocol == Protocol(users=12, rounds=5, heldout=6)
    held = {tuple(one["reward_fn"]): one["idxs"] for one in files.heldout["user_idxs"]}
    assert sorted(episodes.users) == list(range(12))
    assert episodes.latents is not None
    for place, user in enumerate(episodes.users):
        np.testing.assert_array_equal(episodes.options[place], files.sets[user])
        assert episodes.chosen[place].tolist() == [one["user_idx"] for one in files.users[user]["rounds"]]
        assert episodes.truth[place].tolist() == held[files.people[user]]
        assert PEOPLE[episodes.latents["person"][place]] == files.people[user]
    np.testing.assert_array_equal(episodes.heldout, files.heldout_sets)
    # The exact answer, by elimination: those left take one of their best options at random.
    left = [
        one
        for one in PEOPLE
        if all(c in best(one, s) for c, s in zip(episodes.chosen[0], episodes.options[0], strict=True))
    ]
    expected = [
        [np.mean([(k in b) / len(b) for b in (best(one, s) for one in left)]) for k in range(3)]
        for s in files.heldout_sets
    ]
    np.testing.assert_allclose(episodes.exact[0, -1], expected, atol=1e-12)


def test_fewer_users_rounds_and_sets_are_the_first_of_more_and_more_are_refused(files):
    import_path(files.write(), lambda line: None)
    domain = bb.load_domain("released/flights-2")
    whole, part = Episodes(domain, Protocol.of(domain)), Episodes(domain, Protocol(users=3, rounds=2, heldout=4))
    np.testing.assert_array_equal(part.users, whole.users[:3])
    np.testing.assert_array_equal(part.options, whole.options[:3, :2])
    np.testing.assert_array_equal(part.truth, whole.truth[:3, :4])
    for wrong in (Protocol(13), Protocol(3, rounds=6), Protocol(3, heldout=7)):
        with pytest.raises(bb.UsageError, match=r"12 different users|recorded"):
            Episodes(domain, wrong)


TIED = np.array([[[0.5, 0.5], [0.5, 0.5], [0.9, 0.9]]] * 6)  # the first two options are alike


def with_twins(files: Files, answers: list[list[int]]) -> list[int]:
    """Give users 2, 5 and 9 the same weights, which tie in each held-out set, and their entries these answers."""
    twins = [2, 5, 9]
    weights = next(one for one in PEOPLE if max(one) < 0 and one not in files.people)
    files.people[2] = files.people[5] = files.people[9] = weights
    files.heldout["all_options"] = [texts(one) for one in TIED]
    entries = [{"reward_fn": list(one), "idxs": [best(one, a_set)[-1] for a_set in TIED]} for one in files.people]
    rest = [entry for at, entry in enumerate(entries) if at not in twins]
    files.heldout["user_idxs"] = rest + [{"reward_fn": list(weights), "idxs": one} for one in answers]
    for at in twins:
        files.users[at]["reward_fn"] = list(weights)
        for number, one in enumerate(files.sets[at]):
            files.users[at]["rounds"][number]["user_idx"] = best(weights, one)[0]
    return twins


@pytest.mark.parametrize("answers", [[[0] * 6, [1] * 6, [0, 1] * 3], [[1, 0] * 3]])
def test_users_with_the_same_weights_have_their_own_heldout_answers(files, answers):
    twins = with_twins(files, answers)
    import_path(files.write(), lambda line: None)
    domain = bb.load_domain("released/flights-2")
    episodes = Episodes(domain, Protocol.of(domain))
    found = [episodes.truth[episodes.users.tolist().index(at)].tolist() for at in twins]
    assert found == (answers if len(answers) > 1 else answers * 3)


def test_entries_that_cannot_be_given_to_users_with_the_same_weights_are_refused(files):
    with_twins(files, [[0] * 6, [1] * 6])
    with pytest.raises(bb.UsageError) as error:
        import_path(files.write(), lambda line: None)
    weights = [float(one) for one in files.people[2]]
    assert f"flight_2features.json: 2 entries of `user_idxs` have the `reward_fn` {weights} of " in str(error.value)
    assert "3 users have it; give each of these users one entry, in the order of the users" in str(error.value)
    assert "released/flights-2" not in bb.list_domains()


@pytest.mark.parametrize("less", ["no held-out file", "users", "rounds", "held-out sets"])
def test_less_does_not_replace_what_was_imported(files, data_folder, less):
    folder = files.write()
    import_path(folder, lambda line: None)
    (file,) = (data_folder / "released").iterdir()
    before = file.read_bytes()
    if less == "users":
        files.users.pop()
    for user in files.users if less == "rounds" else ():
        del user["rounds"][-1], user["rounds_numpy"][-1]
    if less == "held-out sets":
        files.heldout["all_options"].pop()
        for user in files.heldout["user_idxs"]:
            user["idxs"].pop()
    source = files.write() / "eval/interaction/flight_2features.jsonl"
    given = source if less == "no held-out file" else folder
    had = has = {"users": 12, "rounds": 5, "held-out sets": 6}
    has = has | ({"rounds": 4, "held-out sets": 1} if given == source else {less: had[less] - 1})
    has, had = (", ".join(f"{number} {noun}" for noun, number in one.items()) for one in (has, had))
    said: list[str] = []
    with pytest.raises(bb.UsageError) as error:
        import_path(given, said.append)
    kept = f"{source} has {has}; {file} was imported with {had}, and is kept"
    assert str(error.value) == f"{kept}: name the folder with all the files, or remove {file} first."
    assert (said, file.read_bytes()) == ([], before)
    file.write_text("{")  # damaged
    assert import_path(given, said.append) == ["released/flights-2"]


def test_more_replaces_what_was_imported(files, data_folder):
    import_path(files.write(heldout=False), lambda line: None)
    import_path(files.write(), lambda line: None)
    domain = bb.load_domain("released/flights-2")
    assert Episodes(domain, Protocol.of(domain)).protocol == Protocol(users=12, rounds=5, heldout=6)


def test_two_files_of_one_domain_are_refused(files):
    files.write("one")
    with pytest.raises(bb.UsageError, match=r"two.jsonl is of released/flights-2, and so is another file in '.*files'"):
        import_path(files.write("two"), lambda line: None)


def test_without_a_heldout_file_the_last_round_is_held_out(files):
    said: list[str] = []
    import_path(files.write(heldout=False), said.append)
    assert "each one's last round is held out, since there is no held-out file beside it" in said[0]
    domain = bb.load_domain("released/flights-2")
    episodes = Episodes(domain, Protocol.of(domain))
    assert (episodes.protocol.rounds, episodes.protocol.heldout) == (4, 1)
    np.testing.assert_array_equal(episodes.heldout[:, 0], files.sets[episodes.users, 4])


def test_people_may_contradict_everything_and_have_no_truth_to_tell(tmp_path, data_folder, monkeypatch):
    files = Files(tmp_path / "files", noise=0.8)
    import_path(files.write("flight_human"), lambda line: None)
    domain = bb.load_domain("released/people")
    run = bb.run(domain, "bayesian", preset="paper", results=tmp_path / "results")
    exact = np.array([run.rows()[f"exact_{option}"].to_numpy() for option in range(3)])
    held = run.rows()["question"].to_numpy() >= 0
    np.testing.assert_allclose(exact[:, held].sum(axis=0), 1.0)
    with pytest.raises(bb.UsageError, match="nobody knows what the recorded users of released/people want"):
        bb.run(domain, "oracle", results=tmp_path / "results")
    assert not list((tmp_path / "results" / "released-people").glob("oracle*"))
    monkeypatch.setattr(batch, "names", lambda kind: ["bayesian", "oracle"])
    told = CliRunner().invoke(app, ["run", "--domain", "released/people", "--results", str(tmp_path / "results")])
    assert "agent 'oracle' is left out" in told.stderr
    assert "fitted for each person on all the others" in " ".join(told.stdout.split())


def change(path: list, value: object) -> Callable[[Files], None]:
    """Put a value somewhere in the files."""

    def apply(files: Files) -> None:
        at = {"users": files.users, "heldout": files.heldout}
        for part in path[:-1]:
            at = at[part]
        at[path[-1]] = value

    return apply


def worst(files: Files) -> None:
    """User 5 takes in round 2 what none of the stored weights wants."""
    wanted = best(files.people[4], files.sets[4, 1])
    files.users[4]["rounds"][1]["user_idx"] = next(option for option in range(3) if option not in wanted)


@pytest.mark.parametrize(
    ("fault", "where", "says"),
    [
        (change(["users", 2, "features"], ["duration", "prize"]), "line 3", "features"),
        (worst, "line 5: round 2", "the stored choice is option"),
        (change(["users", 1, "reward_fn"], [0, 0]), "line 2", "not all 0"),
        (change(["users", 1, "reward_fn"], [0.7, 0]), "line 2", "which nobody in flights-2 has"),
        (
            change(["users", 3, "rounds", 0, "options", 1], "Flight 2: duration: 31 min, price: $370"),
            "line 4: round 1, option 2",
            "'duration: 31 min, price: $370' is no text of flights-2; one is 'duration: 30 min, price: $100'",
        ),
        (
            change(["users", 0, "rounds_numpy", 2, 1, 0], 0.55),
            "line 1: round 3, option 2",
            "`rounds_numpy` says duration",
        ),
        (change(["users", 6, "rounds", 4, "user_idx"], 3), "line 7", "3"),
        (
            change(["heldout", "all_options", 2, 0], "Flight 1: price: $100"),
            "all_options[2], option 1",
            "is no text of",
        ),
        (change(["heldout", "user_idxs", 0, "reward_fn"], [0.0, 0.0]), "user_idxs", "no entry"),
    ],
)
def test_what_is_off_is_named_with_file_and_line(files, fault, where, says):
    fault(files)
    with pytest.raises(bb.UsageError) as error:
        import_path(files.write(), lambda line: None)
    assert "flight_2features" in str(error.value)
    assert where in str(error.value)
    assert says in str(error.value)
    assert "released/flights-2" not in bb.list_domains()


def test_an_unknown_feature_is_named_with_file_and_line(files):
    for user in files.users:
        user["features"] = ["duration", "prize"]
    with pytest.raises(bb.UsageError, match=r"flight_2features.jsonl, line 1: unknown feature 'prize'; a flight has "):
        import_path(files.write(heldout=False), lambda line: None)


@pytest.mark.parametrize(("path", "says"), [("nowhere", "is not there"), ("empty", "has no interaction file")])
def test_nothing_to_import_is_a_wrong_call(tmp_path, data_folder, path, says):
    (tmp_path / "empty").mkdir()
    told = CliRunner().invoke(app, ["import", str(tmp_path / path)])
    assert told.exit_code == 2
    assert says in told.stderr


def test_imported_data_that_is_damaged_fails_alone(files, data_folder):
    import_path(files.write(), lambda line: None)
    (data_folder / "released/flights-2.json").write_text("{")
    with pytest.raises(bb.BeliefBenchError, match="cannot be read"):
        bb.load_domain("released/flights-2")
    assert bb.load_domain("flights-2").name == "flights-2"
