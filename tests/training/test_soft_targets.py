"""Learning from teachers: their answers, the loss, and texts without labels."""

import json

import numpy as np
import pytest
import torch
from toy_data import HEADS, SOURCES, toy_config

from polyhead_training.batches import source_of
from polyhead_training.cli import main
from polyhead_training.errors import TrainingError
from polyhead_training.evaluation import annotate
from polyhead_training.objective import distillation
from polyhead_training.soft_targets import FOLDER, open_teachers, teach

SPLIT = """
[[sources]]
name = "split"
head = "mood"
format = "jsonl"
train = "mood/split.jsonl"
words = "tokens"
"""

UNLABELLED = """
[[sources]]
name = "more"
head = "mood"
format = "text"
train = "mood/more.txt"
unlabelled = true
passes = 4.0

[[sources]]
name = "news"
head = "names"
format = "jsonl"
train = "mood/train.jsonl"
unlabelled = true
"""


def said(*_):
    """Takes progress."""


@pytest.fixture(scope="module")
def teacher(toy):
    return open_teachers([toy.run])[0]


@pytest.fixture
def student(open_shop, toy_data):
    lines = (toy_data / "mood/train.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    (toy_data / "mood/more.txt").write_text("\n\n".join(texts), encoding="utf-8")
    return open_shop(toy_config(HEADS, SOURCES + UNLABELLED))


def examples(shop):
    return [shop.data[source.name].train for source in shop.config.sources]


def test_soft_targets_are_the_teachers_distributions(student, teacher, tmp_path):
    """A row for a text and for every word, equal to what the teacher's model answers."""
    soft = teach(student.config, examples(student), [teacher], tmp_path, said)
    model = teacher.shop.model()
    for index, source in enumerate(student.config.sources):
        if source.name not in {"reviews", "more", "trees"}:
            continue
        parts = examples(student)[index]
        answers = annotate(model, [source_of(part) for part in parts[:5]], source.head)
        for place, (_, answer) in enumerate(answers):
            rows = np.exp(soft[index].of([place]))
            if source.head == "mood":
                np.testing.assert_allclose(rows[0], answer.scores, atol=2e-3)
            else:
                assert rows.argmax(axis=1).tolist() == list(answer.tags)


def test_texts_that_come_as_words_have_a_row_each(open_shop, toy_data, teacher, tmp_path):
    """As many words as there are, they have one label together."""
    lines = (toy_data / "mood/dev.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [
        json.loads(line)["text"].strip(".").split() * (1 + n % 3) for n, line in enumerate(lines)
    ]
    rows = [json.dumps({"tokens": words, "label": "good"}) + "\n" for words in texts]
    (toy_data / "mood/split.jsonl").write_text("".join(rows), encoding="utf-8")
    shop = open_shop(toy_config("[[heads]]" + HEADS.split("[[heads]]")[1], SPLIT))
    (soft,) = teach(shop.config, examples(shop), [teacher], tmp_path, said)
    model = teacher.shop.model()
    answers = annotate(model, [source_of(part) for part in examples(shop)[0]], "mood")
    assert soft.starts.tolist() == list(range(len(lines) + 1))
    expected = [answer.scores for _, answer in answers]
    np.testing.assert_allclose(np.exp(soft.log_probabilities), expected, atol=2e-3)


def test_a_teacher_leaves_the_threads_as_they_are(toy):
    """How many it was trained with says nothing about its student."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        (teacher,) = open_teachers([toy.run])
        assert teacher.shop.config.training.threads == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_several_teachers_are_averaged(student, teacher, tmp_path):
    """Two equal teachers say what one says."""
    one = teach(student.config, examples(student), [teacher], tmp_path / "1", said)
    two = teach(student.config, examples(student), [teacher, teacher], tmp_path / "2", said)
    np.testing.assert_allclose(
        np.exp(one[0].log_probabilities), np.exp(two[0].log_probabilities), atol=2e-3
    )


def test_answers_are_kept_for_a_run_that_goes_on(student, teacher, tmp_path):
    """The second time nothing is asked; other texts are."""
    first = teach(student.config, examples(student), [teacher], tmp_path, said)
    asked: list[str] = []
    second = teach(
        student.config, examples(student), [teacher], tmp_path, lambda *a: asked.append(a[0])
    )
    assert not asked
    np.testing.assert_array_equal(first[0].log_probabilities, second[0].log_probabilities)
    fewer = [part[1:] for part in examples(student)]
    teach(student.config, fewer, [teacher], tmp_path, lambda *a: asked.append(a[0]))
    assert asked


def test_texts_without_labels_need_a_teacher(student, tmp_path):
    """The error names the source and the option."""
    with pytest.raises(TrainingError, match=r'"more" has no labels.*--teacher'):
        teach(student.config, examples(student), [], tmp_path, said)


def test_teachers_are_asked_about_chosen_heads_only(open_shop, teacher, tmp_path):
    """Where they are worse than the labels, they need not be followed."""
    text = toy_config() + '[distillation]\nheads = ["tags"]\n'
    shop = open_shop(text)
    soft = teach(shop.config, examples(shop), [teacher], tmp_path, said)
    asked = [s.head for s, found in zip(shop.config.sources, soft, strict=True) if found]
    assert asked == ["tags"]


def test_teachers_are_not_asked_about_sources_that_decline(open_shop, teacher, tmp_path):
    """A source may be learned from its labels alone, while others of its head have a teacher."""
    shop = open_shop(
        toy_config().replace('name = "reviews"', 'name = "reviews"\nsoft_targets = false')
    )
    soft = teach(shop.config, examples(shop), [teacher], tmp_path, said)
    named = {s.name for s, found in zip(shop.config.sources, soft, strict=True) if found}
    assert named == {s.name for s in shop.config.sources} - {"reviews"}


def test_texts_without_labels_cannot_decline_teachers(toy_data, tmp_path, capsys):
    """They would teach nothing."""
    text = toy_config(HEADS, SOURCES + UNLABELLED.replace("passes = 4.0", "soft_targets = false"))
    (tmp_path / "c.toml").write_text(text, encoding="utf-8")
    where = ["--data", str(toy_data), "--out", str(tmp_path / "b")]
    assert main(["fit", str(tmp_path / "c.toml"), *where]) != 0
    assert "learns from soft targets alone" in capsys.readouterr().err


def test_a_chosen_head_must_exist(tmp_path, toy, capsys):
    """The error gives the line and the nearest name."""
    config = tmp_path / "bad.toml"
    config.write_text(toy_config() + '[distillation]\nheads = ["tag"]\n', encoding="utf-8")
    assert main(["check", str(config), "--data", str(toy.data)]) != 0
    assert 'heads names "tag", which is not declared' in capsys.readouterr().err


def test_a_folder_without_weights_is_no_teacher(tmp_path):
    """The error names the folder."""
    with pytest.raises(TrainingError, match="no weights of a run to learn from"):
        open_teachers([tmp_path])


def test_a_student_learns_from_texts_without_labels(toy, teacher, student, tmp_path):
    """With no label at all, it comes to answer as its teacher does."""
    head = HEADS.split("[[heads]]")[1]
    config = tmp_path / "student.toml"
    passes = UNLABELLED.split("[[sources]]")[1].replace("4.0", "12.0")
    config.write_text(
        toy_config(f"[[heads]]{head}", f"[[sources]]{passes}", learning_rate=3e-3),
        encoding="utf-8",
    )
    out = tmp_path / "student"
    arguments = ["fit", str(config), "--data", str(toy.data), "--out", str(out)]
    arguments += ["--encoder", str(toy.encoder), "--teacher", str(toy.run)]
    assert main(arguments) == 0
    assert (tmp_path / "student.run" / FOLDER / "more.safetensors").exists()
    taught = open_teachers([tmp_path / "student.run"])[0].shop.model()
    texts = [source_of(example) for example in student.data["reviews"].dev]
    ours = [answer.index for _, answer in annotate(taught, texts, "mood")]
    theirs = [answer.index for _, answer in annotate(teacher.shop.model(), texts, "mood")]
    assert np.mean(np.equal(ours, theirs)) > 0.8


def test_equal_distributions_cost_nothing():
    """Whatever the temperature, and logits need not be normalised."""
    logits = torch.tensor([[1.0, 2.0, -1.0]])
    loss = distillation(logits + 5, torch.log_softmax(logits, 1), 3.0)
    torch.testing.assert_close(loss, torch.tensor(0.0), atol=1e-5, rtol=0)


def test_the_loss_pulls_towards_the_teacher():
    """The gradient raises what the teacher holds more likely."""
    logits = torch.zeros(1, 3, requires_grad=True)
    torch.autograd.backward(distillation(logits, torch.log(torch.tensor([[0.8, 0.1, 0.1]])), 2.0))
    assert logits.grad is not None
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]


def test_a_source_without_labels_has_no_dev_files(tmp_path, toy, capsys):
    """It could not be measured; the config's line is named."""
    config = tmp_path / "bad.toml"
    bad = UNLABELLED.replace('train = "mood/more.txt"', 'train = "mood/more.txt"\ndev = "a.txt"')
    config.write_text(toy_config(HEADS, SOURCES + bad), encoding="utf-8")
    assert main(["check", str(config), "--data", str(toy.data)]) != 0
    assert "without labels has training files only" in capsys.readouterr().err
