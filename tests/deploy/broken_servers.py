"""Manifests of servers and of their database, made wrong in one way each."""

from typing import Any

from tests.deploy.manifests import Manifests, container_of, pod_labels, pod_of


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
