"""Manifests of the smoke test, made wrong in one way each."""

from tests.deploy.manifests import Manifests, Object, container_of, pod_of


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
