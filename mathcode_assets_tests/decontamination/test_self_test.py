import random

import pytest

from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.index import build_index
from mathcode_assets.decontamination.planting import EXPECTED, KINDS, Item, plant
from mathcode_assets.decontamination.scan import scan_documents
from mathcode_assets.decontamination.self_test import SelfTestConfig, contaminated_share, residual, self_test
from mathcode_assets.records import NEAR
from mathcode_assets_tests.decontamination.conftest import LIBRARY, ORCHARD, ROWS, batches, documents, host


def test_every_kind_of_plant_is_found(index):
    result = self_test(index, documents([host(4), host(7), host(5)]), SelfTestConfig(plants_per_kind=3))
    assert result.passed, (result.failures, [p for p in result.plants if not p.right])
    assert result.false_positives == 0
    assert set(result.recall) == set(KINDS)


def test_the_same_seed_plants_the_same(index):
    config = SelfTestConfig(plants_per_kind=2, seed=5)
    hosts = documents([host(4), host(6)])
    assert self_test(index, hosts, config) == self_test(index, hosts, config)


def test_a_scan_that_finds_nothing_fails(index):
    blind = DecontaminationConfig(candidate_share=2.0)
    result = self_test(index, documents([host(4)]), SelfTestConfig(plants_per_kind=2), blind)
    assert not result.passed
    assert "verbatim: 0% of 2 found, 98% wanted" in result.failures


def test_contaminated_hosts_are_counted_and_not_planted_in(index):
    hosts = [host(4), f"{host(2)}\n\n{ORCHARD}", host(5)]
    result = self_test(index, documents(hosts), SelfTestConfig(plants_per_kind=2))
    assert (result.hosts, result.false_positives) == (3, 1)
    assert not result.passed  # a third of the hosts is more than the bar allows


def test_no_clean_host_is_an_error(index):
    with pytest.raises(ValueError, match="none of the 1 host documents is clean"):
        self_test(index, documents([ORCHARD]), SelfTestConfig())


@pytest.mark.parametrize("kind", KINDS)
def test_plants_keep_their_host(kind):
    item = Item(question=ORCHARD, answer="294", solution="")
    text = plant(kind, item, host(5), random.Random(1))
    assert text is not None
    assert sum(p in text for p in host(5).split("\n\n")) >= 4
    assert EXPECTED[kind] == (NEAR if kind == "number_substituted" else "contaminated")


def test_a_question_without_numbers_cannot_be_renumbered():
    assert plant("number_substituted", Item(question="Why so?", answer="", solution=""), "x", random.Random(1)) is None


def test_share_and_residual(index):
    texts = [host(2), LIBRARY, host(3), ORCHARD.replace("37", "38")]
    assert contaminated_share(scan_documents(documents(texts), index)) == 0.25
    assert contaminated_share([]) == 0
    assert residual(documents(texts), index) == 1
    assert residual(documents([host(2)]), index) == 0


def test_an_old_index_leaves_a_residual_for_a_new_benchmark():
    old, new = build_index(batches(ROWS[:2])), build_index(batches(ROWS))
    published = documents([f"{host(2)}\n\n{LIBRARY}"])
    assert (residual(published, old), residual(published, new)) == (0, 1)


def test_an_item_with_many_short_words_can_be_edited():
    # Every twelfth word of such a question is more words than it has that may be exchanged.
    words = "a b c d e f g h i j k l " * 20 + "alpha bravo charlie delta echoes foxtrot golfer hotel"
    assert plant("word_edited", Item(question=words, answer="", solution=""), host(3), random.Random(1)) is not None
