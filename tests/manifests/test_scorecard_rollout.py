"""Rows of the scorecard about starting, stopping and replacing pods."""

import json
import re

from common.duration import seconds
from common.homes import DELIVERY_LIMIT
from common.service import GRACE_AFTER_DRAIN
from common.version import VERSION
from manifests.rendering import ROOT, Render
from manifests.scorecard import row

_MARGIN = 5
_FLOATING = {"latest", "stable", "main", "edge"}


@row(16)
def test_every_image_has_a_tag_that_names_a_version(rendered: Render) -> None:
    for name, container in rendered.containers:
        image, _, tag = container["image"].rpartition(":")
        assert image, f"{name}: {container['image']} has no tag"
        assert tag not in _FLOATING, name
        assert re.match(r"\d", tag), name


@row(16)
def test_the_pair_is_of_the_version_of_this_checkout(rendered: Render) -> None:
    for pod, image in zip(rendered.pair, ("tidings-consumer", "tidings-producer"), strict=True):
        assert pod.spec["containers"][0]["image"] == f"{image}:{VERSION}"
        assert pod.labels["app.kubernetes.io/version"] == VERSION


@row(17)
def test_every_container_has_a_startup_probe_with_at_least_a_minute(rendered: Render) -> None:
    for name, container in rendered.containers:
        probe = container["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 60, name


@row(18)
def test_liveness_asks_another_question_than_readiness(rendered: Render) -> None:
    for name, container in rendered.containers:
        live, ready = container["livenessProbe"], container["readinessProbe"]
        assert live.get("httpGet") != ready.get("httpGet"), name
        patience = live["periodSeconds"] * live["failureThreshold"]
        assert patience > ready["periodSeconds"] * ready["failureThreshold"], name


@row(18)
def test_an_outage_of_the_broker_makes_the_pair_unready_and_restarts_nobody(
    rendered: Render,
) -> None:
    for pod in rendered.pair:
        [container] = pod.containers
        assert container["startupProbe"]["httpGet"]["path"] == "/livez"
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


@row(18)
def test_no_probe_starts_a_process_in_the_container(rendered: Render) -> None:
    for name, container in rendered.containers:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert "exec" not in container[probe], name
            assert container[probe]["timeoutSeconds"] >= 3, name


@row(19)
def test_the_grace_period_is_longer_than_the_drain_and_what_comes_after_it(
    rendered: Render,
) -> None:
    for pod in rendered.pair:
        drain = seconds(rendered.settings_of(pod)["TIDINGS_DRAIN_TIMEOUT"])
        grace = pod.spec["terminationGracePeriodSeconds"]
        assert grace == drain + GRACE_AFTER_DRAIN + _MARGIN, pod.owner
        assert "lifecycle" not in pod.spec["containers"][0], "preStop takes from the same time"
    for pod in rendered.pods:
        assert pod.spec["terminationGracePeriodSeconds"] >= 45, pod.owner


@row(19)
def test_a_handler_that_runs_when_the_stop_comes_may_use_its_whole_timeout(
    rendered: Render,
) -> None:
    settings = rendered.settings_of(rendered.pair[0])
    timeout = seconds(settings["TIDINGS_HANDLER_TIMEOUT"])
    assert seconds(settings["TIDINGS_DRAIN_TIMEOUT"]) >= timeout + _MARGIN


@row(20)
def test_the_documentation_says_the_numbers_of_the_drain(rendered: Render) -> None:
    text = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    settings = rendered.settings_of(rendered.pair[0])
    drain, grace = (
        f"{seconds(settings['TIDINGS_DRAIN_TIMEOUT']):g}",
        rendered.pair[0].spec["terminationGracePeriodSeconds"],
    )
    assert f"{drain} s + {GRACE_AFTER_DRAIN:g} s + {_MARGIN} s = {grace} s" in text


@row(21)
def test_a_rollout_never_has_fewer_pods_than_before(rendered: Render) -> None:
    """But for a producer with a volume: a file serves one process, so the old pod goes first."""
    for document in rendered.of("Deployment"):
        assert document["spec"]["strategy"] == {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        }
    for pod in rendered.pair:
        if pod.workload["kind"] != "Deployment":
            assert pod == rendered.producer
            assert pod.workload["spec"]["updateStrategy"] == {"type": "RollingUpdate"}


@row(22)
def test_a_bad_version_stops_the_rollout_and_the_old_one_can_be_had_back(
    rendered: Render,
) -> None:
    for pod in rendered.pair:
        spec = pod.workload["spec"]
        assert spec["minReadySeconds"] >= 5
        assert 1 < spec["revisionHistoryLimit"] <= 10
        if pod.workload["kind"] == "Deployment":
            probe = pod.spec["containers"][0]["startupProbe"]
            start = probe["periodSeconds"] * probe["failureThreshold"]
            assert spec["progressDeadlineSeconds"] > start
        else:  # in the default order the controller waits for a broken pod, also on the way back
            assert spec["podManagementPolicy"] == "Parallel"


@row(24)
def test_the_disruption_budget_protects_consumers_and_never_blocks_a_drain(
    rendered: Render,
) -> None:
    assert rendered.get("PodDisruptionBudget", "event-consumer")
    for document in rendered.of("PodDisruptionBudget"):
        spec = document["spec"]
        assert spec["maxUnavailable"] == 1
        assert "minAvailable" not in spec
        assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@row(25)
def test_consumers_spread_over_nodes_and_zones_where_there_are_some(rendered: Render) -> None:
    constraints = rendered.pair[0].spec["topologySpreadConstraints"]
    keys = [constraint["topologyKey"] for constraint in constraints]
    assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    for constraint in constraints:
        assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"
        assert constraint["matchLabelKeys"] == ["pod-template-hash"]


@row(31)
def test_the_services_declare_dead_letters_and_a_delivery_limit_themselves(
    rendered: Render,
) -> None:
    settings = rendered.settings_of(rendered.pair[0])
    assert settings["TIDINGS_TOPOLOGY"] == "declare"
    golden = json.loads((ROOT / "tests/unit/topology.golden.json").read_text(encoding="utf-8"))
    assert f'"x-delivery-limit": {DELIVERY_LIMIT}' in json.dumps(golden)
    assert '"x-dead-letter-strategy": "at-least-once"' in json.dumps(golden)


@row(32)
def test_changed_configuration_has_another_name_and_so_rolls_the_pods(rendered: Render) -> None:
    for document in rendered.of("ConfigMap"):
        assert document["immutable"] is True
        assert re.search(r"-[0-9a-z]{10}$", document["metadata"]["name"])
