"""Every overlay keeps every policy, and every policy is seen to fail where it should."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from deploy.kubernetes.render import OVERLAYS
from tests.deploy.manifests import Manifests, Object, container_of, manifests, pod_labels, pod_of
from tests.deploy.policies import (
    POLICIES,
    Policy,
    api_server,
    database,
    environment,
    network,
    pods,
    references,
    services,
    smoke,
)


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_every_overlay_keeps_every_policy(policy: Policy, overlay: str) -> None:
    assert list(policy(manifests(overlay))) == []


def settings_of(objects: Manifests) -> dict[str, str]:
    """The settings of the servers, to be changed."""
    name = container_of(objects.server)["envFrom"][0]["configMapRef"]["name"]
    data: dict[str, str] = objects.one("ConfigMap", name)["data"]
    return data


def database_of(objects: Manifests) -> dict[str, str]:
    data: dict[str, str] = objects.one("ConfigMap", "featom-database")["data"]
    return data


def service(objects: Manifests, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = objects.one("Service", name)["spec"]
    return spec


def a_label_with_a_space(objects: Manifests) -> None:
    objects.server["metadata"]["labels"]["team"] = "fraud and cards"


def a_service_that_begins_with_a_digit(objects: Manifests) -> None:
    objects.one("Service", "featom")["metadata"]["name"] = "0-featom"


def a_key_with_a_slash(objects: Manifests) -> None:
    database_of(objects)["a/b"] = "c"


def a_port_with_a_long_name(objects: Manifests) -> None:
    container_of(objects.server)["ports"][0]["name"] = "grpc-for-clients"


def a_volume_twice(objects: Manifests) -> None:
    pod_of(objects.server)["volumes"].append({"name": "tmp", "emptyDir": {}})


def an_object_twice(objects: Manifests) -> None:
    objects.append(objects.server)


def pods_that_the_statefulset_does_not_select(objects: Manifests) -> None:
    objects.server["spec"]["selector"]["matchLabels"] = {"app.kubernetes.io/name": "other"}


def more_requested_than_allowed(objects: Manifests) -> None:
    container_of(objects.server)["resources"]["requests"]["memory"] = "1025Mi"


def a_config_map_in_another_namespace(objects: Manifests) -> None:
    del objects.one("ConfigMap", "featom-database")["metadata"]["namespace"]


def a_config_map_that_there_is_not(objects: Manifests) -> None:
    pod_of(objects.server)["volumes"].append({"name": "x", "configMap": {"name": "x"}})


def same_selectors(objects: Manifests) -> None:
    service(objects, "featom")["selector"] = service(objects, "featom-pods")["selector"]


def selects_the_migration_too(objects: Manifests) -> None:
    service(objects, "featom")["selector"] = {"app.kubernetes.io/name": "featom"}


def pods_without_names(objects: Manifests) -> None:
    del service(objects, "featom-pods")["clusterIP"]


def a_volume_for_the_server(objects: Manifests) -> None:
    objects.server["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}}]


def liveness_asks_the_database(objects: Manifests) -> None:
    container_of(objects.server)["livenessProbe"]["grpc"] = {"port": 50052, "service": "readiness"}


def no_startup_probe(objects: Manifests) -> None:
    del container_of(objects.server)["startupProbe"]


def another_port(objects: Manifests) -> None:
    settings_of(objects)["FEATOM_LISTEN"] = "[::]:6000"


def a_longer_drain(objects: Manifests) -> None:
    settings_of(objects)["FEATOM_DRAIN_GRACE"] = "30"


def a_misspelt_variable(objects: Manifests) -> None:
    settings_of(objects)["FEATOM_DRAIN_DELAI"] = "3"


def no_dsn(objects: Manifests) -> None:
    del database_of(objects)["FEATOM_DSN"]


def the_owners_dsn(objects: Manifests) -> None:
    migration: dict[str, str] = objects.one("ConfigMap", "featom-migration")["data"]
    database_of(objects)["FEATOM_DSN"] = migration["FEATOM_DSN"]


def a_password_in_the_dsn(objects: Manifests) -> None:
    database_of(objects)["FEATOM_DSN"] = "postgresql://featom:hunter2@featom-postgres/featom"


def a_literal_password(objects: Manifests) -> None:
    container_of(objects.migration)["env"] = [{"name": "PGPASSWORD", "value": "hunter2"}]


def the_latest_image(objects: Manifests) -> None:
    container_of(objects.server)["image"] = "featom:latest"


def a_registry_with_a_port_and_no_tag(objects: Manifests) -> None:
    container_of(objects.server)["image"] = "registry:5000/featom"


def a_database_of_the_operators_choice(objects: Manifests) -> None:
    (cluster,) = objects.of("Cluster")
    del cluster["spec"]["imageName"]


def another_build(objects: Manifests) -> None:
    container_of(objects.server)["image"] = "featom:0.2.0"


def a_job_of_another_name(objects: Manifests) -> None:
    container_of(objects.migration)["args"] = ["backfill"]


def a_migration_that_waits_in_vain(objects: Manifests) -> None:
    del objects.migration["spec"]["podFailurePolicy"]


def another_exit_code(objects: Manifests) -> None:
    rules = objects.migration["spec"]["podFailurePolicy"]["rules"]
    rules[0]["onExitCodes"]["values"] = [1]


def a_migration_that_is_started_again(objects: Manifests) -> None:
    pod_of(objects.migration)["restartPolicy"] = "OnFailure"


def a_secret_that_nobody_makes(objects: Manifests) -> None:
    pod_of(objects.server)["volumes"].append({"name": "x", "secret": {"secretName": "x"}})


def a_password_file_elsewhere(objects: Manifests) -> None:
    database_of(objects)["FEATOM_PASSWORD_FROM"] = "file:/run/secrets/other/password"


def a_certificate_that_is_not_mounted(objects: Manifests) -> None:
    settings_of(objects)["FEATOM_TLS_CERT"] = "/elsewhere/tls.crt"


def grants_that_the_server_refuses(objects: Manifests) -> None:
    objects.append(
        {
            "kind": "ConfigMap",
            "metadata": {"name": "featom-authorization"},
            "data": {"authorization.yaml": "grants: [{principals: [alice], read: [card]}]"},
        }
    )


def a_writable_root(objects: Manifests) -> None:
    container_of(objects.server)["securityContext"]["readOnlyRootFilesystem"] = False


def a_port_of_the_node(objects: Manifests) -> None:
    container_of(objects.server)["ports"][0]["hostPort"] = 50051


def a_folder_of_the_node(objects: Manifests) -> None:
    pod_of(objects.server)["volumes"].append({"name": "x", "hostPath": {"path": "/"}})


def the_network_of_the_node(objects: Manifests) -> None:
    pod_of(objects.migration)["hostNetwork"] = True


def another_container_first(objects: Manifests) -> None:
    pod_of(objects.server)["initContainers"] = [{"name": "x", "image": "x:1"}]


def no_network_policy(objects: Manifests) -> None:
    objects[:] = [each for each in objects if each["kind"] != "NetworkPolicy"]


def the_health_port_for_everybody(objects: Manifests) -> None:
    policy = objects.one("NetworkPolicy", "featom-server")
    policy["spec"]["ingress"][0]["ports"].append({"port": "health"})


def metrics_for_everybody(objects: Manifests) -> None:
    policy = objects.one("NetworkPolicy", "featom-metrics")
    del policy["spec"]["ingress"][0]["from"][0]["podSelector"]


def metrics_that_nobody_serves(objects: Manifests) -> None:
    del settings_of(objects)["FEATOM_METRICS_LISTEN"]


def metrics_that_nobody_scrapes(objects: Manifests) -> None:
    objects.remove(objects.one("ServiceMonitor", "featom"))


def metrics_that_are_counted_twice(objects: Manifests) -> None:
    monitor = objects.one("ServiceMonitor", "featom")
    del monitor["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]


def a_port_that_the_service_has_not(objects: Manifests) -> None:
    objects.one("ServiceMonitor", "featom")["spec"]["endpoints"][0]["port"] = "metric"


def pods_with_another_label(objects: Manifests) -> None:
    labels = dict(pod_labels(objects.server)) | {"app.kubernetes.io/component": "other"}
    objects.server["spec"]["template"]["metadata"]["labels"] = labels


def replicas_beside_the_autoscaler(objects: Manifests) -> None:
    objects.server["spec"]["replicas"] = 3


def more_servers_than_connections(objects: Manifests) -> None:
    (scaler,) = objects.of("HorizontalPodAutoscaler")
    scaler["spec"]["maxReplicas"] = 40


def fewer_predicate_locks(objects: Manifests) -> None:
    (cluster,) = objects.of("Cluster")
    del cluster["spec"]["postgresql"]["parameters"]["max_pred_locks_per_transaction"]


def a_database_that_nobody_uses(objects: Manifests) -> None:
    database_of(objects)["FEATOM_DSN"] = (
        "postgresql://featom@featom.postgres.database.azure.com/featom"
    )


def old_pods_that_go_too_soon(objects: Manifests) -> None:
    objects.server["spec"]["minReadySeconds"] = 5


def a_hung_server_that_is_asked_to_drain(objects: Manifests) -> None:
    del container_of(objects.server)["livenessProbe"]["terminationGracePeriodSeconds"]


def one_pod_behind_a_headless_service(objects: Manifests) -> None:
    objects.server["spec"]["replicas"] = 1


def smoke_test_of(objects: Manifests) -> Object:
    (job,) = objects.smoke_tests
    return job


def a_smoke_test_of_another_build(objects: Manifests) -> None:
    container_of(smoke_test_of(objects))["image"] = "featom:0.2.0"


def a_smoke_test_of_a_name_that_stays(objects: Manifests) -> None:
    smoke_test_of(objects)["metadata"]["name"] = "featom-smoke"


def a_smoke_test_of_one_pod(objects: Manifests) -> None:
    container_of(smoke_test_of(objects))["env"][0]["value"] = "featom-pods.featom.svc:50051"


def a_smoke_test_of_another_port(objects: Manifests) -> None:
    container_of(smoke_test_of(objects))["env"][0]["value"] = "featom.featom.svc:50052"


def a_smoke_test_that_is_no_client(objects: Manifests) -> None:
    del smoke_test_of(objects)["spec"]["template"]["metadata"]["labels"]["featom.dev/client"]


def a_smoke_test_that_reaches_the_database(objects: Manifests) -> None:
    labels = smoke_test_of(objects)["spec"]["template"]["metadata"]["labels"]
    labels["app.kubernetes.io/name"] = "featom"


def a_smoke_test_that_is_shut_in(objects: Manifests) -> None:
    del objects.one("NetworkPolicy", "featom-smoke")["spec"]["egress"][1]


def a_smoke_test_in_plaintext(objects: Manifests) -> None:
    environment = container_of(smoke_test_of(objects))["env"]
    environment[:] = [each for each in environment if each["name"] != "FEATOM_CLIENT_TLS_CA"]


def a_smoke_test_with_a_token_for_others(objects: Manifests) -> None:
    for volume in pod_of(smoke_test_of(objects))["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            source["serviceAccountToken"]["audience"] = "vault"


def a_smoke_test_that_may_do_nothing(objects: Manifests) -> None:
    pod_of(smoke_test_of(objects))["serviceAccountName"] = "featom"


BREAKS: Final[list[tuple[Callable[[Manifests], None], Policy]]] = [
    (a_label_with_a_space, api_server.names_and_labels_are_well_formed),
    (a_service_that_begins_with_a_digit, api_server.names_and_labels_are_well_formed),
    (a_key_with_a_slash, api_server.names_and_labels_are_well_formed),
    (a_port_with_a_long_name, api_server.names_and_labels_are_well_formed),
    (a_volume_twice, api_server.names_within_an_object_are_unique),
    (an_object_twice, api_server.names_within_an_object_are_unique),
    (
        pods_that_the_statefulset_does_not_select,
        api_server.selectors_are_of_their_own_pods,
    ),
    (more_requested_than_allowed, api_server.requests_are_within_limits),
    (
        a_config_map_in_another_namespace,
        references.everything_is_in_the_namespace_of_the_servers,
    ),
    (same_selectors, services.services_have_selectors_of_their_own),
    (
        selects_the_migration_too,
        services.services_select_one_workload_each_and_ports_that_it_has,
    ),
    (pods_without_names, services.the_statefulset_names_a_headless_service),
    (one_pod_behind_a_headless_service, services.the_only_pod_of_a_service_keeps_its_name),
    (old_pods_that_go_too_soon, pods.clients_know_a_new_server_before_the_next_old_one_goes),
    (a_hung_server_that_is_asked_to_drain, pods.a_server_that_hangs_is_soon_restarted),
    (a_volume_for_the_server, pods.the_server_claims_no_volume),
    (liveness_asks_the_database, services.probes_ask_the_health_port_for_services_that_exist),
    (no_startup_probe, services.what_runs_for_ever_has_every_probe),
    (another_port, services.ports_are_those_of_the_settings),
    (a_longer_drain, pods.the_grace_period_holds_the_whole_drain),
    (a_misspelt_variable, environment.variables_are_those_of_the_command),
    (no_dsn, database.the_server_has_a_database_and_never_one_of_its_own),
    (the_owners_dsn, database.the_servers_connect_as_a_role_that_the_migration_grants_to),
    (a_password_in_the_dsn, environment.no_secret_is_written_down),
    (a_literal_password, environment.no_secret_is_written_down),
    (the_latest_image, pods.images_have_tags_that_stay),
    (a_registry_with_a_port_and_no_tag, pods.images_have_tags_that_stay),
    (a_database_of_the_operators_choice, pods.images_have_tags_that_stay),
    (another_build, references.jobs_are_the_images_and_can_be_applied_again),
    (a_job_of_another_name, references.jobs_are_the_images_and_can_be_applied_again),
    *(
        (change, pods.a_migration_that_has_to_wait_is_no_failure)
        for change in (
            a_migration_that_waits_in_vain,
            another_exit_code,
            a_migration_that_is_started_again,
        )
    ),
    (a_secret_that_nobody_makes, references.what_is_referred_to_is_there),
    (a_config_map_that_there_is_not, references.what_is_referred_to_is_there),
    (a_password_file_elsewhere, environment.files_of_passwords_are_mounted),
    (a_certificate_that_is_not_mounted, environment.files_of_the_server_are_mounted),
    (
        grants_that_the_server_refuses,
        environment.the_authorization_file_is_one_that_the_server_takes,
    ),
    *(
        (change, pods.pods_are_restricted)
        for change in (
            a_writable_root,
            a_port_of_the_node,
            a_folder_of_the_node,
            the_network_of_the_node,
            another_container_first,
        )
    ),
    (no_network_policy, network.every_pod_is_behind_a_network_policy),
    (the_health_port_for_everybody, network.the_health_port_is_open_to_no_pod),
    *(
        (change, network.metrics_are_scraped_by_prometheus_alone_and_only_if_they_are_served)
        for change in (
            metrics_for_everybody,
            metrics_that_nobody_serves,
            metrics_that_nobody_scrapes,
            metrics_that_are_counted_twice,
            a_port_that_the_service_has_not,
        )
    ),
    (pods_with_another_label, pods.servers_are_spread_and_at_most_one_is_disrupted),
    (replicas_beside_the_autoscaler, pods.the_autoscaler_alone_sets_the_number_of_servers),
    (more_servers_than_connections, database.the_database_allows_the_connections_of_all_servers),
    (
        fewer_predicate_locks,
        database.the_database_has_the_predicate_locks_of_the_embedded_one,
    ),
    (a_database_that_nobody_uses, database.a_database_is_brought_unless_it_is_azures),
    (a_smoke_test_of_another_build, references.jobs_are_the_images_and_can_be_applied_again),
    (a_smoke_test_of_a_name_that_stays, references.jobs_are_the_images_and_can_be_applied_again),
    (a_smoke_test_of_one_pod, smoke.the_smoke_test_asks_the_service_of_clients),
    (a_smoke_test_of_another_port, smoke.the_smoke_test_asks_the_service_of_clients),
    *(
        (change, smoke.the_smoke_test_gets_to_the_servers_and_no_further)
        for change in (
            a_smoke_test_that_is_no_client,
            a_smoke_test_that_reaches_the_database,
            a_smoke_test_that_is_shut_in,
        )
    ),
    *(
        (change, smoke.the_smoke_test_proves_what_the_servers_ask_for)
        for change in (
            a_smoke_test_in_plaintext,
            a_smoke_test_with_a_token_for_others,
            a_smoke_test_that_may_do_nothing,
        )
    ),
]


@pytest.mark.parametrize(
    ("change", "policy"), BREAKS, ids=[change.__name__ for change, _ in BREAKS]
)
def test_a_policy_finds_what_breaks_it(change: Callable[[Manifests], None], policy: Policy) -> None:
    objects = manifests("aks-cnpg+monitoring+tokens+smoke-tokens")
    change(objects)
    assert list(policy(objects)) != []


def test_every_policy_was_seen_to_fail() -> None:
    assert {policy for _, policy in BREAKS} == set(POLICIES.values())
