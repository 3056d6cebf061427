"""Create the RayJob of rayjob.yaml: what `kubectl create` does, in an image without kubectl."""

import ssl
import urllib.request
from pathlib import Path


def create(server: str, account: Path, job: bytes) -> None:
    """Create it as the service account whose token is in the folder `account`; raise if Kubernetes refuses."""
    namespace, token = ((account / name).read_text() for name in ("namespace", "token"))
    request = urllib.request.Request(
        f"{server}/apis/ray.io/v1/namespaces/{namespace}/rayjobs?fieldValidation=Strict",
        data=job,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/yaml"},
    )
    trusted = ssl.create_default_context(cafile=account / "ca.crt")
    urllib.request.urlopen(request, context=trusted, timeout=60).close()


if __name__ == "__main__":
    create(
        "https://kubernetes.default.svc",
        Path("/var/run/secrets/kubernetes.io/serviceaccount"),
        Path(__file__).with_name("rayjob.yaml").read_bytes(),
    )
