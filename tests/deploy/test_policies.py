"""Every overlay keeps every policy, and every policy is seen to fail where it should."""

from collections.abc import Callable
from typing import Final

import pytest

from deploy.kubernetes.render import OVERLAYS
from tests.deploy import broken_servers, broken_smoke_tests
from tests.deploy.manifests import Manifests, manifests
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


BREAKS: Final[list[tuple[Callable[[Manifests], None], Policy]]] = [
    (broken_servers.a_label_with_a_space, api_server.names_and_labels_are_well_formed),
    (
        broken_servers.a_service_that_begins_with_a_digit,
        api_server.names_and_labels_are_well_formed,
    ),
    (broken_servers.a_key_with_a_slash, api_server.names_and_labels_are_well_formed),
    (broken_servers.a_port_with_a_long_name, api_server.names_and_labels_are_well_formed),
    (broken_servers.a_volume_twice, api_server.names_within_an_object_are_unique),
    (broken_servers.an_object_twice, api_server.names_within_an_object_are_unique),
    (
        broken_servers.pods_that_the_statefulset_does_not_select,
        api_server.selectors_are_of_their_own_pods,
    ),
    (broken_servers.more_requested_than_allowed, api_server.requests_are_within_limits),
    (
        broken_servers.a_config_map_in_another_namespace,
        references.everything_is_in_the_namespace_of_the_servers,
    ),
    (broken_servers.same_selectors, services.services_have_selectors_of_their_own),
    (
        broken_servers.selects_the_migration_too,
        services.services_select_one_workload_each_and_ports_that_it_has,
    ),
    (broken_servers.pods_without_names, services.the_statefulset_names_a_headless_service),
    (
        broken_servers.one_pod_behind_a_headless_service,
        services.the_only_pod_of_a_service_keeps_its_name,
    ),
    (
        broken_servers.old_pods_that_go_too_soon,
        pods.clients_know_a_new_server_before_the_next_old_one_goes,
    ),
    (
        broken_servers.a_hung_server_that_is_asked_to_drain,
        pods.a_server_that_hangs_is_soon_restarted,
    ),
    (broken_servers.a_volume_for_the_server, pods.the_server_claims_no_volume),
    (
        broken_servers.liveness_asks_the_database,
        services.probes_ask_the_health_port_for_services_that_exist,
    ),
    (broken_servers.no_startup_probe, services.what_runs_for_ever_has_every_probe),
    (broken_servers.another_port, services.ports_are_those_of_the_settings),
    (broken_servers.a_longer_drain, pods.the_grace_period_holds_the_whole_drain),
    (broken_servers.a_misspelt_variable, environment.variables_are_those_of_the_command),
    (broken_servers.no_dsn, database.the_server_has_a_database_and_never_one_of_its_own),
    (
        broken_servers.the_owners_dsn,
        database.the_servers_connect_as_a_role_that_the_migration_grants_to,
    ),
    (broken_servers.a_password_in_the_dsn, environment.no_secret_is_written_down),
    (broken_servers.a_literal_password, environment.no_secret_is_written_down),
    (broken_servers.the_latest_image, pods.images_have_tags_that_stay),
    (broken_servers.a_registry_with_a_port_and_no_tag, pods.images_have_tags_that_stay),
    (broken_servers.a_database_of_the_operators_choice, pods.images_have_tags_that_stay),
    (broken_servers.another_build, references.jobs_are_the_images_and_can_be_applied_again),
    (broken_servers.a_job_of_another_name, references.jobs_are_the_images_and_can_be_applied_again),
    *(
        (change, pods.a_migration_that_has_to_wait_is_no_failure)
        for change in (
            broken_servers.a_migration_that_waits_in_vain,
            broken_servers.another_exit_code,
            broken_servers.a_migration_that_is_started_again,
        )
    ),
    (broken_servers.a_secret_that_nobody_makes, references.what_is_referred_to_is_there),
    (broken_servers.a_config_map_that_there_is_not, references.what_is_referred_to_is_there),
    (broken_servers.a_password_file_elsewhere, environment.files_of_passwords_are_mounted),
    (broken_servers.a_certificate_that_is_not_mounted, environment.files_of_the_server_are_mounted),
    (
        broken_servers.grants_that_the_server_refuses,
        environment.the_authorization_file_is_one_that_the_server_takes,
    ),
    *(
        (change, pods.pods_are_restricted)
        for change in (
            broken_servers.a_writable_root,
            broken_servers.a_port_of_the_node,
            broken_servers.a_folder_of_the_node,
            broken_servers.the_network_of_the_node,
            broken_servers.another_container_first,
        )
    ),
    (broken_servers.no_network_policy, network.every_pod_is_behind_a_network_policy),
    (broken_servers.the_health_port_for_everybody, network.the_health_port_is_open_to_no_pod),
    *(
        (change, network.metrics_are_scraped_by_prometheus_alone_and_only_if_they_are_served)
        for change in (
            broken_servers.metrics_for_everybody,
            broken_servers.metrics_that_nobody_serves,
            broken_servers.metrics_that_nobody_scrapes,
            broken_servers.metrics_that_are_counted_twice,
            broken_servers.a_port_that_the_service_has_not,
        )
    ),
    (broken_servers.pods_with_another_label, pods.servers_are_spread_and_at_most_one_is_disrupted),
    (
        broken_servers.replicas_beside_the_autoscaler,
        pods.the_autoscaler_alone_sets_the_number_of_servers,
    ),
    (
        broken_servers.more_servers_than_connections,
        database.the_database_allows_the_connections_of_all_servers,
    ),
    (
        broken_servers.fewer_predicate_locks,
        database.the_database_has_the_predicate_locks_of_the_embedded_one,
    ),
    (
        broken_servers.a_database_that_nobody_uses,
        database.a_database_is_brought_unless_it_is_azures,
    ),
    (
        broken_smoke_tests.a_smoke_test_of_another_build,
        references.jobs_are_the_images_and_can_be_applied_again,
    ),
    (
        broken_smoke_tests.a_smoke_test_of_a_name_that_stays,
        references.jobs_are_the_images_and_can_be_applied_again,
    ),
    (broken_smoke_tests.a_smoke_test_of_one_pod, smoke.the_smoke_test_asks_the_service_of_clients),
    (
        broken_smoke_tests.a_smoke_test_of_another_port,
        smoke.the_smoke_test_asks_the_service_of_clients,
    ),
    *(
        (change, smoke.the_smoke_test_gets_to_the_servers_and_no_further)
        for change in (
            broken_smoke_tests.a_smoke_test_that_is_no_client,
            broken_smoke_tests.a_smoke_test_that_reaches_the_database,
            broken_smoke_tests.a_smoke_test_that_is_shut_in,
        )
    ),
    *(
        (change, smoke.the_smoke_test_proves_what_the_servers_ask_for)
        for change in (
            broken_smoke_tests.a_smoke_test_in_plaintext,
            broken_smoke_tests.a_smoke_test_with_a_token_for_others,
            broken_smoke_tests.a_smoke_test_that_may_do_nothing,
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
