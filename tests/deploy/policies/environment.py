"""What the `featom` command finds: variables, files, and no secret among them."""

import base64
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from server.access.authorization_file import read_grants
from server.process.watched_files import ContentRefused
from tests.deploy.command_line import variables
from tests.deploy.manifests import Manifests, container_of, name_of, strings


def variables_are_those_of_the_command(objects: Manifests) -> Iterator[str]:
    for workload in (objects.server, objects.migration, *objects.smoke_tests):
        command, *_ = container_of(workload)["args"]
        known = variables(command)
        if workload == objects.migration:  # all commands of the owner share one ConfigMap
            known = known | variables("migrate")
        for name in sorted(set(objects.environment(workload)) - known):
            yield f"`featom {command}` knows no {name}"


def no_secret_is_written_down(objects: Manifests) -> Iterator[str]:
    generated = {
        base64.b64decode(value).decode()
        for secret in objects.of("Secret")
        for key, value in secret.get("data", {}).items()
        if key != "username"
    }
    for found in objects:
        if found["kind"] == "Secret":
            continue
        for text in strings(found):
            if any(value in text for value in generated):
                yield f"{name_of(found)} shows what a Secret holds"
            if "://" in text and urlsplit(text).password is not None:
                yield f"{name_of(found)} has an address with a password"
    for workload in objects.workloads:
        for name, value in objects.environment(workload).items():
            secret = re.search(r"PASSWORD|SECRET|TOKEN|KEY", name)
            if secret and not value.startswith(("/", "file:/")) and value != "entra":
                yield f"{name_of(workload)} has a literal {name}"


def files_of_passwords_are_mounted(objects: Manifests) -> Iterator[str]:
    for workload in objects.workloads:
        mounts = [mount["mountPath"] for mount in container_of(workload)["volumeMounts"]]
        for name, value in objects.environment(workload).items():
            for path in re.findall(r"(?:^|file:|sslrootcert=)(/run/secrets/[^&]+)", value):
                if path.rpartition("/")[0] not in mounts:
                    yield f"{name_of(workload)}: {name} names {path}, which is not mounted"


def files_of_the_server_are_mounted(objects: Manifests) -> Iterator[str]:
    environment = objects.environment(objects.server)
    mounts = [mount["mountPath"] for mount in container_of(objects.server)["volumeMounts"]]
    for name in ("TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA", "AUTHORIZATION"):
        path = environment.get(f"FEATOM_{name}")
        if path is not None and not any(path.startswith(f"{mount}/") for mount in mounts):
            yield f"FEATOM_{name} names {path}, where nothing is mounted"


def the_authorization_file_is_one_that_the_server_takes(objects: Manifests) -> Iterator[str]:
    for found in objects.of("ConfigMap"):
        for name, content in found["data"].items():
            if name == "authorization.yaml":
                try:
                    read_grants(content.encode())
                except ContentRefused as error:
                    yield f"{name_of(found)}: {error}"
