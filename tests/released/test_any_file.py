"""What holds of any released file: what is written is read back, and a place is found on its line."""

import json

from hypothesis import given
from hypothesis import strategies as st

from beliefbench.released.files import Interaction, read_interactions
from beliefbench.released.located import line_of

from .json_changes import changed

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
words = st.sampled_from(["Flight", "Hotel", "Product", "Hotel room"])


@st.composite
def interaction_files(draw: st.DrawFn) -> list[dict]:
    """Valid users of one kind, as the JSON values of their lines."""
    word, rounds, shopping = draw(words), draw(st.integers(1, 3)), draw(st.booleans())
    features = draw(st.lists(texts, min_size=1, max_size=4, unique=True))

    def a_round() -> dict:
        options = [f"{word} {number}: {draw(texts)}" for number in (1, 2, 3)]
        score = {"score": draw(st.lists(numbers, min_size=3, max_size=3))} if shopping else {}
        return {"options": options, "user_idx": draw(st.integers(0, 2))} | score

    users = []
    for _ in range(draw(st.integers(1, 3))):
        user = {"rounds": [a_round() for _ in range(rounds)]}
        row = st.lists(numbers, min_size=len(features), max_size=len(features))
        if shopping:
            user |= {
                "goal_attrs": draw(st.lists(texts, max_size=3)),
                "goal_options": draw(st.dictionaries(texts, texts)),
            }
        else:
            user |= {"features": features, "reward_fn": draw(row)}
            if draw(st.booleans()):
                user["rounds_numpy"] = [[draw(row) for _ in range(3)] for _ in range(rounds)]
        user |= draw(st.fixed_dictionaries({}, optional={"idx": st.integers(), "seed": st.integers(), "more": texts}))
        users.append(user)
    return users


def as_json(user: Interaction) -> dict:
    """The line that a user would be written as."""
    rounds = [
        {"options": list(texts), "user_idx": chosen} for texts, chosen in zip(user.options, user.chosen, strict=True)
    ]
    for at, score in enumerate(user.scores or ()):
        rounds[at]["score"] = list(score)
    fields = {
        "idx": user.idx,
        "seed": user.seed,
        "reward_fn": user.reward_fn,
        "features": user.features,
        "goal_attrs": user.goal_attrs,
        "goal_options": user.goal_options,
        "rounds_numpy": user.rounds_numpy,
    }
    return {"rounds": rounds} | {key: value for key, value in fields.items() if value is not None}


@given(interaction_files(), st.booleans())
def test_what_is_written_is_read_back(tmp_path_factory, written, users, ascii_only):
    folder = tmp_path_factory.getbasetemp()
    lines = "".join(json.dumps(user, ensure_ascii=ascii_only) + "\n" for user in users)
    read = read_interactions(written(folder, "written.jsonl", lines))
    assert [user.line for user in read] == list(range(1, len(users) + 1))
    expected = [{key: value for key, value in user.items() if key != "more"} for user in users]
    assert json.loads(json.dumps([as_json(user) for user in read])) == expected
    again = "".join(json.dumps(as_json(user)) + "\n" for user in read)
    assert read_interactions(written(folder, "written.jsonl", again)) == read


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | texts,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(texts, inner, min_size=1, max_size=3),
    max_leaves=12,
)


@given(json_values, st.data())
def test_the_line_of_a_place_is_where_its_value_begins(document, data):
    """A value is put at a random place; with ``indent`` each has a line of its own, and a mark shows which."""
    mark, where = "the place\u2028sought", []
    value = {"root": document}
    while isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        where.append(data.draw(st.sampled_from(keys)))
        value = value[where[-1]]
    marked = json.dumps(changed({"root": document}, tuple(where), mark), indent=1, ensure_ascii=False)
    lines = [at for at, line in enumerate(marked.split("\n"), 1) if mark in line]
    assert [line_of(marked, tuple(where))] == lines
    assert line_of(marked, (*where, "not", 0, "there")) == lines[0]
