"""The check of references would notice what it is there for."""

import re

import pytest

from manifests.references import unresolved
from manifests.rendering import Render

_CONSUMER = "Deployment/event-consumer"
_NAME = "app.kubernetes.io/name"


@pytest.mark.parametrize(
    ("right", "wrong", "line"),
    [
        (
            "key: AMQP_URI",
            "key: AMQP_URL",
            f"{_CONSUMER}/consumer: AMQP_URI: there is no Secret tidings-broker with",
        ),
        (
            "key: AMQP_URI\n              name: tidings-broker",
            "key: AMQP_URI\n              name: tidings",
            f"{_CONSUMER}/consumer: AMQP_URI: there is no Secret tidings with a key AMQP_URI",
        ),
        (
            "configMapRef:\n            name: tidings-settings-",
            "configMapRef:\n            name: settings-",
            f"{_CONSUMER}/consumer: there is no ConfigMap settings-",
        ),
        (
            "serviceAccountName: event-consumer",
            "serviceAccountName: consumer",
            f"{_CONSUMER}: there is no ServiceAccount consumer",
        ),
        (
            "path: /readyz\n            port: http",
            "path: /readyz\n            port: probes",
            f"{_CONSUMER}/consumer: readinessProbe: the container has no port probes",
        ),
        (
            "targetPort: management",
            "targetPort: managment",
            "Service/rabbitmq-service: StatefulSet/rabbitmq has no port managment",
        ),
        (
            "  selector:\n    app.kubernetes.io/component: broker",
            "  selector:\n    app.kubernetes.io/component: brokers",
            "Service/rabbitmq-service: selects no pods",
        ),
        (
            "serviceName: event-producer",
            "serviceName: producer",
            "StatefulSet/event-producer: there is no Service producer",
        ),
        (
            "mountPath: /var/lib/tidings\n          name: outbox",
            "mountPath: /var/lib/tidings\n          name: data",
            "StatefulSet/event-producer: mounts data, which is no volume",
        ),
        (
            "serviceName: rabbitmq-service",
            "serviceName: rabbitmq",
            "StatefulSet/rabbitmq: there is no Service rabbitmq",
        ),
        (
            "- port: 5672\n      protocol: TCP\n    to:",
            "- port: 5671\n      protocol: TCP\n    to:",
            "NetworkPolicy/pair-to-broker: StatefulSet/rabbitmq has no port 5671",
        ),
        (
            f"to:\n    - podSelector:\n        matchLabels:\n          {_NAME}: rabbitmq",
            f"to:\n    - podSelector:\n        matchLabels:\n          {_NAME}: rabbit",
            "NetworkPolicy/pair-to-broker: to selects no pods",
        ),
        (
            "name: event-consumer\n  unhealthy",
            "name: consumer\n  unhealthy",
            "PodDisruptionBudget/event-consumer: selects no pods",
        ),
        (
            "subPath: enabled_plugins",
            "subPath: plugins",
            "StatefulSet/rabbitmq: ConfigMap rabbitmq-config-",
        ),
        (
            "mountPath: /tmp\n          name: tmp",
            "mountPath: /tmp\n          name: temp",
            f"{_CONSUMER}: mounts temp, which is no volume",
        ),
        (
            "  name: rabbitmq-service\n  namespace: tidings",
            "  name: rabbitmq-service\n  namespace: tiding",
            "Service/rabbitmq-service: there is no Namespace tiding",
        ),
    ],
)
def test_a_reference_that_leads_nowhere_is_a_line(
    dev: Render, right: str, wrong: str, line: str
) -> None:
    assert right in dev.text
    broken = Render("dev", dev.text.replace(right, wrong))
    assert any(found.startswith(line) for found in unresolved(broken)), unresolved(broken)


def test_two_workloads_that_select_each_others_pods_are_a_line(dev: Render) -> None:
    text = re.sub(rf"{_NAME}: event-(producer|consumer)", f"{_NAME}: pair", dev.text)
    line = f"{_CONSUMER}: its selector also selects the pods of StatefulSet/event-producer"
    assert line in unresolved(Render("dev", text))
