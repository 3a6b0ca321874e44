"""How many GPU nodes are wanted, and the line that says so."""

from __future__ import annotations

import json
import sys

import pytest
from conftest import INFRA

sys.path.insert(0, str(INFRA / "ray"))
from demand import METRIC, metric_line, nodes_wanted


@pytest.mark.parametrize(
    ("bundles", "in_use", "there", "wanted"),
    [
        ([], 0, 0, 0),  # nothing to do, nothing there
        ([], 0, 16, 0),  # all done: every node ends
        ([({"CPU": 4.0}, 10)], 0, 0, 0),  # no GPU is asked for
        ([({"GPU": 1.0}, 1)], 0, 0, 1),  # the first job of the day
        ([({"GPU": 8.0, "CPU": 1.0}, 2)], 0, 0, 2),
        ([({"GPU": 1.0}, 9)], 0, 0, 2),  # nine workers of one GPU on nodes with eight
        ([({"GPU": 8.0}, 1)], 8, 8, 2),  # one runs, one waits
        ([], 1, 24, 3),  # a training that still holds one GPU loses no node
        ([({"GPU": 8.0}, 99)], 0, 0, 4),  # never more than the group has
    ],
)
def test_nodes_wanted(bundles: list, in_use: float, there: float, wanted: int) -> None:
    found = nodes_wanted(bundles, gpus_in_use=in_use, gpus_there=there, gpus_per_node=8, max_nodes=4)
    assert found == wanted


def test_the_line_is_a_metric_that_cloudwatch_finds() -> None:
    line = metric_line(3, cluster="mathcode", now_ms=1_795_000_000_000)
    assert "\n" not in line
    said = json.loads(line)
    (directive,) = said["_aws"]["CloudWatchMetrics"]
    assert said[directive["Metrics"][0]["Name"]] == 3 and directive["Metrics"][0]["Name"] == METRIC
    assert all(name in said for dimensions in directive["Dimensions"] for name in dimensions)
