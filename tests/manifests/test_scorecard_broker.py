"""Rows of the scorecard about the broker of `dev`, and what is easy to get wrong beside them."""

import re

from manifests.rendering import Render
from manifests.scorecard import row

_MIB = 2**20
_HOME, _DATA = "/var/lib/rabbitmq", "/var/lib/rabbitmq/mnesia"


@row(29)
def test_events_lie_on_a_volume_under_a_host_name_that_stays(dev: Render) -> None:
    assert dev.broker.workload["kind"] == "StatefulSet"
    assert dev.broker.workload["spec"]["replicas"] == 1
    [claim] = dev.broker.workload["spec"]["volumeClaimTemplates"]
    mounts = {m["mountPath"]: m["name"] for m in dev.broker.containers[0]["volumeMounts"]}
    assert mounts[_DATA] == claim["metadata"]["name"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"


@row(29)
def test_the_cookie_does_not_lie_on_the_volume_where_fs_group_would_open_it(dev: Render) -> None:
    mounts = {m["mountPath"]: m["name"] for m in dev.broker.containers[0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in dev.broker.spec["volumes"]}
    assert "emptyDir" in volumes[mounts[_HOME]]


@row(30)
def test_the_volume_outlives_its_stateful_set(dev: Render) -> None:
    policy = dev.broker.workload["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert policy == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_the_broker_stops_publishers_before_the_container_is_out_of_memory(dev: Render) -> None:
    limit = _bytes(dev.broker.containers[0]["resources"]["limits"]["memory"])
    mark = _bytes(_configuration(dev)["vm_memory_high_watermark.absolute"])
    wal = int(_configuration(dev)["raft.wal_max_size_bytes"])
    assert 400 * _MIB <= mark <= 0.6 * limit, "below 400 MiB an idle broker is too near its mark"
    assert mark + 3 * wal <= limit, "the log may take three times its size beyond the mark"


def test_the_volume_has_room_for_more_than_the_broker_keeps_free(dev: Render) -> None:
    [claim] = dev.broker.workload["spec"]["volumeClaimTemplates"]
    room = _bytes(claim["spec"]["resources"]["requests"]["storage"])
    free = _bytes(_configuration(dev)["disk_free_limit.absolute"])
    unrouted = 2**30  # x-max-length-bytes of events.unrouted
    assert room > free + 2 * unrouted


def test_nobody_logs_in_as_guest_or_without_a_name(dev: Render) -> None:
    configuration = _configuration(dev)
    assert configuration["anonymous_login_user"] == "none"
    assert configuration["loopback_users.guest"] == "true"
    mounts = [mount["mountPath"] for mount in dev.broker.containers[0]["volumeMounts"]]
    assert "/etc/rabbitmq/conf.d" in mounts, "else the image's own file opens guest to the network"


def test_the_service_has_the_documented_name_and_ports(dev: Render) -> None:
    service = dev.get("Service", "rabbitmq-service")
    assert [port["port"] for port in service["spec"]["ports"]] == [5672, 15672, 15692]
    assert service["spec"]["type"] == "ClusterIP"


def test_the_plugins_of_the_management_and_metrics_ports_are_on(dev: Render) -> None:
    plugins = dev.get("ConfigMap", "rabbitmq-config")["data"]["enabled_plugins"]
    assert {"rabbitmq_management", "rabbitmq_prometheus"} <= set(re.findall(r"\w+", plugins))


def test_with_a_broker_of_yours_nothing_is_made_but_the_pair(renders: dict[str, Render]) -> None:
    byo = renders["byo-broker"]
    assert [pod.owner for pod in byo.pods] == [
        "Deployment/event-consumer",
        "Deployment/event-producer",
    ]
    assert not byo.of("StatefulSet", "Service")
    assert list(byo.get("Secret", "tidings-broker")["data"]) == ["AMQP_URI"]


def _configuration(dev: Render) -> dict[str, str]:
    text = dev.get("ConfigMap", "rabbitmq-config")["data"]["rabbitmq.conf"]
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {key.strip(): value.strip() for key, value in (line.split("=", 1) for line in lines)}


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+)(Mi|MiB|Gi|GB)", text)
    assert match, text
    units = {"Mi": 2**20, "MiB": 2**20, "Gi": 2**30, "GB": 10**9}
    return int(match[1]) * units[match[2]]
