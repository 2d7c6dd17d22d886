"""Rows of the scorecard about who may talk to whom, and who knows the password."""

import base64
import subprocess
from urllib.parse import urlsplit

from manifests.rendering import K8S, ROOT, Document, Render
from manifests.scorecard import row

_DNS = 53
_PAIR = {"matchExpressions"}


@row(9)
def test_every_pod_is_denied_all_traffic_that_is_not_named(rendered: Render) -> None:
    spec = rendered.get("NetworkPolicy", "deny-by-default")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert not spec.keys() & {"ingress", "egress"}
    for pod in rendered.pods:
        assert spec["podSelector"]["matchLabels"].items() <= pod.labels.items(), pod.owner


@row(9)
def test_every_way_in_names_its_ports_and_none_is_open_to_the_world(rendered: Render) -> None:
    for policy in rendered.of("NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            assert rule["ports"], policy["metadata"]["name"]
            assert rule["from"], policy["metadata"]["name"]
            assert all("ipBlock" not in peer for peer in rule["from"])


@row(10)
def test_the_way_out_leads_to_name_servers_and_the_broker_only(dev: Render) -> None:
    ways = _ways_out(dev)
    assert {port for ports, _ in ways for port in ports} == {_DNS, 5672}
    for ports, peers in ways:
        if ports == {_DNS}:
            assert [next(iter(peer)) for peer in peers] == ["namespaceSelector", "ipBlock"]
            assert peers[0]["podSelector"] == {"matchLabels": {"k8s-app": "kube-dns"}}
            assert peers[1] == {"ipBlock": {"cidr": "169.254.20.10/32"}}
        else:
            selector = {"matchLabels": {"app.kubernetes.io/name": "rabbitmq"}}
            assert peers == [{"podSelector": selector}]


@row(10)
def test_the_broker_in_dev_reaches_out_to_nobody(dev: Render) -> None:
    for policy in dev.of("NetworkPolicy"):
        if policy["spec"].get("egress"):
            assert policy["spec"]["podSelector"].keys() == _PAIR


def test_with_a_broker_of_yours_only_name_servers_and_amqp_are_reached(
    renders: dict[str, Render],
) -> None:
    """Not row 10: where the broker is, only its owner knows; the ports are all that can be said."""
    ways = _ways_out(renders["byo-broker"])
    assert {port for ports, _ in ways for port in ports} == {_DNS, 5671, 5672}


@row(11)
def test_git_has_templates_of_the_secrets_and_ignores_the_real_ones() -> None:
    for overlay in ("dev", "byo-broker"):
        folder = K8S / "overlays" / overlay
        ignored = subprocess.run(
            ["git", "check-ignore", "--quiet", str(folder / ".env")], cwd=ROOT, check=False
        )
        assert ignored.returncode == 0, overlay
        assert (folder / ".env.example").exists(), overlay


@row(11)
def test_no_file_of_the_tree_has_a_password() -> None:
    for path in sorted(K8S.rglob("*")):
        if path.is_file() and path.name != ".env":
            text = path.read_text(encoding="utf-8")
            assert "kind: Secret" not in text, path
            for word in text.split():
                if word.startswith(("AMQP_URI=", "RABBITMQ_DEFAULT_PASS=", "amqp://", "amqps://")):
                    assert "PASSWORD" in word, path


@row(12)
def test_the_pair_gets_the_uri_from_the_secret_and_from_nowhere_else(rendered: Render) -> None:
    for pod in rendered.pair:
        [variable] = [v for v in pod.spec["containers"][0]["env"] if "AMQP" in v["name"]]
        reference = {"name": "tidings-broker", "key": "AMQP_URI"}
        assert variable == {"name": "AMQP_URI", "valueFrom": {"secretKeyRef": reference}}
        assert "AMQP" not in "".join(rendered.settings_of(pod))


@row(12)
def test_the_secret_has_the_name_that_anybody_elses_secret_would_have(rendered: Render) -> None:
    [secret] = rendered.of("Secret")
    assert secret["metadata"]["name"] == "tidings-broker"
    assert "AMQP_URI" in secret["data"]


@row(12)
def test_in_dev_the_uri_names_the_user_and_the_service_of_the_broker(dev: Render) -> None:
    data = {
        key: base64.b64decode(value).decode()
        for key, value in dev.get("Secret", "tidings-broker")["data"].items()
    }
    uri = urlsplit(data["AMQP_URI"])
    assert (uri.username, uri.password) == (
        data["RABBITMQ_DEFAULT_USER"],
        data["RABBITMQ_DEFAULT_PASS"],
    )
    assert uri.username != "guest"
    service = dev.get("Service", "rabbitmq-service")
    assert uri.hostname == service["metadata"]["name"]
    assert uri.port in [port["port"] for port in service["spec"]["ports"]]


def _ways_out(rendered: Render) -> list[tuple[set[int], list[Document]]]:
    return [
        ({port["port"] for port in rule["ports"]}, rule["to"])
        for policy in rendered.of("NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
    ]
