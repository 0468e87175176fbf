"""Which output of a model belongs to which class of a data set."""

import pytest

from keras_tnt.evaluation import match_classes
from keras_tnt.images import imagenet_classes


def test_match_classes__name_wordnet_id_or_order():
    imagenet = imagenet_classes()
    names = [name for _, name in imagenet]
    ids = [wordnet_id for wordnet_id, _ in imagenet]
    assert match_classes(names, ids[::-1]) == list(range(1000))[::-1]
    assert match_classes(names, names[5:8]) == [5, 6, 7]  # a part of the classes
    assert match_classes(["0", "1"], ["cat", "dog"]) == [0, 1]


def test_match_classes__says_that_it_goes_by_order(caplog):
    assert match_classes(["0", "1", "2"], ["ant", "bee", "cat"]) == [0, 1, 2]
    (line,) = (record.getMessage() for record in caplog.records)
    assert "by order, ant to cat" in line


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (["cat", "dog"], ["cat", "owl"]),
        (["cat", "dog"], ["cat", "dog", "owl"]),
        (["cat", "dog"], ["ant", "bee"]),  # as many, but others
        (["1", "2"], ["ant", "bee"]),  # these are names
        (["0", "1"], ["0", "bee"]),
        (["0", "1"], ["ant", "bee", "cat"]),
    ],
)
def test_match_classes__other_classes(model, data):
    with pytest.raises(ValueError, match=r"not known to the model .first of \d.: "):
        match_classes(model, data)


def test_match_classes__model_named_by_wordnet_id():
    """Such as one that was trained on tfds' ImageNet, or on a part of its classes."""
    ids, names = zip(*imagenet_classes(), strict=True)
    assert match_classes(ids, names[::-1]) == list(range(1000))[::-1]
    assert match_classes([ids[7], ids[3]], [names[3]]) == [1]
    # A name alone is not a WordNet id: a nail may be one of a hand.
    with pytest.raises(ValueError, match="not known to the model"):
        match_classes(["nail", "hair"], [ids[names.index("nail")]])


def test_match_classes__order_of_imagenet_names():
    ids, names = zip(*imagenet_classes(), strict=True)
    assert match_classes(names[::-1], ids[:2]) == [999, 998]


def test_match_classes__a_name_twice():
    with pytest.raises(ValueError, match="2 classes of the model are called 'crane'"):
        match_classes(["crane", "ant", "crane"], ["ant", "crane"])
    assert match_classes(["crane", "ant", "crane"], ["ant"]) == [1]
