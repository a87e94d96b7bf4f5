"""In-memory Kubernetes API server with the subset that Helm needs: discovery, objects (create, read, replace, patch, server-side apply,
delete), selectors and watches. Every written object is validated against the schema of its kind. Controllers act immediately: a
Deployment is available unless its image never becomes ready, and a Pod has succeeded. There is no admission, no scheduling and no
network."""

import base64
import contextlib
import copy
import json
import re
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlparse

import kubernetes_validate
import yaml

# Pods of an image with this name never become ready.
NEVER_READY = "never-ready"

# Supported kinds: by group and version, plural and kind.
KINDS = {
    "v1": {
        "configmaps": "ConfigMap",
        "pods": "Pod",
        "secrets": "Secret",
        "serviceaccounts": "ServiceAccount",
        "services": "Service",
    },
    "apps/v1": {"deployments": "Deployment", "replicasets": "ReplicaSet"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "keda.sh/v1alpha1": {"scaledobjects": "ScaledObject"},
    "monitoring.coreos.com/v1": {"podmonitors": "PodMonitor", "prometheusrules": "PrometheusRule"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
}
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
# Duration of a watch without timeoutSeconds.
WATCH_SECONDS = 30


class ApiError(Exception):
    """Failure status of the Kubernetes API."""

    def __init__(self, code, reason, message):
        super().__init__(message)
        self.status = dict(kind="Status", apiVersion="v1", status="Failure", reason=reason, message=message, code=code)


class Cluster:
    """Objects and the history of their changes."""

    def __init__(self, version):
        self.version = version
        self.objects = {}
        # (revision, event type, (plural, namespace), object), ascending; watches resume from a revision.
        self.events = []
        self.revision = 100
        self.changed = threading.Condition()

    def find(self, kind):
        """Objects of a kind, by name."""
        with self.changed:
            return {key[2]: copy.deepcopy(found) for key, found in self.objects.items() if found["kind"] == kind}

    def listed(self, plural, namespace, query):
        """Objects of one kind that match the query."""
        keys = sorted(key for key in self.objects if key[0] == plural and namespace in ("", key[1]))
        return [self.objects[key] for key in keys if selected(self.objects[key], query)]

    def put(self, key, sent, dry_run):
        """Writes an object and returns it with the metadata of the server."""
        before = self.objects.get(key)
        written = copy.deepcopy(sent)
        self.validate(written)
        metadata = written["metadata"]
        metadata.pop("managedFields", None)
        old = before["metadata"] if before else {}
        changed = before is not None and before.get("spec") != written.get("spec")
        metadata["namespace"] = key[1]
        metadata["uid"] = old.get("uid") or str(uuid.uuid4())
        metadata["creationTimestamp"] = old.get("creationTimestamp") or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        metadata["generation"] = old.get("generation", 1) + int(changed)
        run_controllers(written)
        if not dry_run:
            self.objects[key] = written
            self.record("MODIFIED" if before else "ADDED", key, written)
        return written

    def delete(self, key):
        deleted = self.objects.pop(key)
        self.record("DELETED", key, deleted)
        return deleted

    def record(self, event_type, key, changed):
        self.revision += 1
        changed["metadata"]["resourceVersion"] = str(self.revision)
        self.events.append((self.revision, event_type, key[:2], copy.deepcopy(changed)))
        self.changed.notify_all()

    def validate(self, written):
        """Validates an object against the schema of its kind; custom resources have none."""
        try:
            kubernetes_validate.validate(written, self.version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            pass
        except kubernetes_validate.ValidationError as error:
            name = f"{written['kind']} {written['metadata'].get('name')}"
            raise ApiError(422, "Invalid", f"{name}: {error.message}") from error


def run_controllers(written):
    """Sets the status that the controllers of the kind would eventually set."""
    spec, generation = written.get("spec") or {}, written["metadata"]["generation"]
    match written["kind"]:
        case "Deployment":
            containers = spec["template"]["spec"]["containers"]
            replicas = spec.get("replicas", 1)
            ready = 0 if any(NEVER_READY in container["image"] for container in containers) else replicas
            written["status"] = dict(
                observedGeneration=generation,
                replicas=replicas,
                updatedReplicas=replicas,
                readyReplicas=ready,
                availableReplicas=ready,
                unavailableReplicas=replicas - ready,
                conditions=[
                    dict(type="Available", status="True" if ready else "False"),
                    dict(type="Progressing", status="True", reason="NewReplicaSetAvailable"),
                ],
            )
        case "Service":
            spec.setdefault("clusterIP", "10.96.0.1")
            balanced = spec.get("type") == "LoadBalancer"
            written["status"] = dict(loadBalancer=dict(ingress=[dict(ip="192.0.2.1")]) if balanced else {})
        case "Pod":
            written["status"] = dict(phase="Succeeded")
        case "PodDisruptionBudget":
            healthy = dict(currentHealthy=1, desiredHealthy=1, disruptionsAllowed=1, expectedPods=1)
            written["status"] = dict(observedGeneration=generation, conditions=[], **healthy)
        case "HorizontalPodAutoscaler":
            scaling = [dict(type="AbleToScale", status="True"), dict(type="ScalingActive", status="True")]
            written["status"] = dict(observedGeneration=generation, desiredReplicas=1, conditions=scaling)


def merged(old, new):
    """JSON merge patch (RFC 7396): null removes a key, maps are merged, other values are replaced."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    kept = {key: value for key, value in old.items() if key not in new}
    return kept | {key: merged(old.get(key), value) for key, value in new.items() if value is not None}


def selected(found, query):
    """True if an object matches the label and field selectors of the query."""
    labels = found["metadata"].get("labels") or {}
    terms = re.split(r",(?![^(]*\))", query.get("labelSelector", ""))
    return all(label_fits(labels, term.strip()) for term in terms if term) and all(
        field_fits(found, term) for term in query.get("fieldSelector", "").split(",") if term
    )


def label_fits(labels, term):
    if among := re.match(r"(\S+)\s+(in|notin)\s+\((.*)\)$", term):
        key, operator, values = among.groups()
        return (labels.get(key) in re.split(r"\s*,\s*", values)) == (operator == "in")
    if "!=" in term:
        key, value = term.split("!=")
        return labels.get(key) != value
    if "=" in term:
        key, value = term.replace("==", "=").split("=")
        return labels.get(key) == value
    return (term.lstrip("!") in labels) != term.startswith("!")


def field_fits(found, term):
    path, value = term.replace("==", "=").split("=", 1)
    for part in path.split("."):
        found = (found or {}).get(part)
    return found == value


def protobuf_fields(raw):
    """Fields of a protobuf message, by number; strings and messages stay bytes."""
    fields, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(raw):
        tag = number()
        value = number()
        if tag & 7 == 2:
            value, at = raw[at : at + value], at + value
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def decode_protobuf(raw):
    """Decodes a Secret or ConfigMap of Helm's release storage, which Helm sends as protobuf."""
    envelope = protobuf_fields(raw[4:])
    kind, version = (protobuf_fields(envelope[1][0])[field][0].decode() for field in (2, 1))
    content = protobuf_fields(envelope[2][0])
    named = protobuf_fields(content[1][0])

    def entries(fields, read):
        pairs = (protobuf_fields(pair) for pair in fields)
        return {pair[1][0].decode(): read(pair.get(2, [b""])[0]) for pair in pairs}

    metadata = dict(name=named[1][0].decode(), labels=entries(named.get(11, []), bytes.decode))
    if resource_version := named.get(6, [b""])[0]:
        metadata["resourceVersion"] = resource_version.decode()
    found = dict(apiVersion=version, kind=kind, metadata=metadata)
    if kind == "Secret":
        found["data"] = entries(content.get(2, []), lambda value: base64.b64encode(value).decode())
        found["type"] = content.get(3, [b""])[0].decode()
    else:
        found["data"] = entries(content.get(2, []), bytes.decode)
    return found


class Handler(BaseHTTPRequestHandler):
    """Handler of one connection."""

    protocol_version = "HTTP/1.1"
    cluster = None

    def log_message(self, *_):
        """Disables the access log; a failing test reports the error itself."""

    def respond(self, code, body, content_type="application/json"):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def handle_request(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlparse(self.path)
        try:
            self.route([part for part in url.path.split("/") if part], dict(parse_qsl(url.query)), raw)
        except ApiError as error:
            self.respond(error.status["code"], error.status)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

    def route(self, path, query, raw):
        match path:
            case ["version"]:
                major, minor = self.cluster.version.split(".")
                self.respond(200, dict(major=major, minor=minor, gitVersion=f"v{self.cluster.version}.0"))
            case ["api"]:
                self.respond(200, dict(kind="APIVersions", versions=["v1"]))
            case ["apis"]:
                self.respond(200, dict(kind="APIGroupList", apiVersion="v1", groups=groups()))
            case ["openapi", "v2"]:
                # Minimal document without kinds, so that clients skip their own validation.
                document = b"\x0a\x032.0\x12\x0b\x0a\x04fake\x12\x031.0"
                self.respond(200, document, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf")
            case ["api", version, *rest] if version in KINDS:
                self.resource(version, rest, query, raw)
            case ["apis", group, version, *rest] if f"{group}/{version}" in KINDS:
                self.resource(f"{group}/{version}", rest, query, raw)
            case _:
                raise ApiError(404, "NotFound", self.path)

    def resource(self, version, path, query, raw):
        if not path:
            return self.respond(200, resources(version))
        namespace = ""
        if path[0] == "namespaces" and len(path) > 2:
            namespace, path = path[1], path[2:]
        plural, name = path[0], path[1] if len(path) > 1 else None
        if plural not in KINDS[version]:
            raise ApiError(404, "NotFound", plural)
        with self.cluster.changed:
            if self.command == "GET" and name is None:
                return self.list_or_watch(version, plural, namespace, query)
            sent = None
            if raw and self.command != "DELETE":
                sent = decode_protobuf(raw) if raw.startswith(b"k8s\0") else yaml.safe_load(raw)
                sent = {"apiVersion": version, "kind": KINDS[version][plural]} | sent
            key = (plural, namespace, name or sent["metadata"]["name"])
            code, found = self.handle_object(key, sent, "dryRun" in query)
        return self.respond(code, found)

    def handle_object(self, key, sent, dry_run):
        """Handles a request for one object; returns the status code and the object."""
        cluster = self.cluster
        known = key in cluster.objects
        applies = "apply-patch" in self.headers.get("Content-Type", "")
        if self.command == "POST" and known:
            raise ApiError(409, "AlreadyExists", f'{key[0]} "{key[2]}" already exists')
        if self.command != "POST" and not known and not applies:
            raise ApiError(404, "NotFound", f'{key[0]} "{key[2]}" not found')
        match self.command:
            case "GET":
                return 200, cluster.objects[key]
            case "DELETE":
                return 200, cluster.delete(key)
            case "PATCH" if known:
                # Helm is the only field manager here, so an apply removes fields that are not sent any more.
                old = {field: value for field, value in cluster.objects[key].items() if not applies or field not in ("spec", "data")}
                sent = merged(old, sent)
        return (200 if known else 201), cluster.put(key, sent, dry_run)

    def list_or_watch(self, version, plural, namespace, query):
        if query.get("watch") in ("1", "true"):
            return self.watch(version, plural, namespace, query)
        found = self.cluster.listed(plural, namespace, query)
        head = dict(kind=KINDS[version][plural] + "List", apiVersion=version)
        return self.respond(200, head | dict(metadata=dict(resourceVersion=str(self.cluster.revision)), items=found))

    def watch(self, version, plural, namespace, query):
        """Streams changes until the timeout. The caller holds the lock; `wait` releases it while there is nothing to send."""
        cluster = self.cluster
        since = int(query.get("resourceVersion") or cluster.revision)
        end = time.monotonic() + min(float(query.get("timeoutSeconds") or WATCH_SECONDS), WATCH_SECONDS)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = next((index for index, (revision, *_) in enumerate(cluster.events) if revision > since), len(cluster.events))
        with contextlib.suppress(OSError):
            if query.get("sendInitialEvents") == "true":
                sent = len(cluster.events)
                for found in cluster.listed(plural, namespace, query):
                    self.chunk("ADDED", found)
                ended = {"k8s.io/initial-events-end": "true"}
                metadata = dict(resourceVersion=str(cluster.revision), annotations=ended)
                self.chunk("BOOKMARK", dict(kind=KINDS[version][plural], apiVersion=version, metadata=metadata))
            while time.monotonic() < end:
                for _, event_type, key, found in cluster.events[sent:]:
                    if key[0] == plural and namespace in ("", key[1]) and selected(found, query):
                        self.chunk(event_type, found)
                sent = len(cluster.events)
                self.wfile.flush()
                cluster.changed.wait(0.2)
            self.wfile.write(b"0\r\n\r\n")
            return
        # The watcher has disconnected.
        self.close_connection = True

    def chunk(self, event_type, found):
        line = json.dumps(dict(type=event_type, object=found)).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))


def groups():
    named = [version.split("/") for version in KINDS if "/" in version]
    versions = [(group, dict(groupVersion=f"{group}/{version}", version=version)) for group, version in named]
    return [dict(name=group, versions=[version], preferredVersion=version) for group, version in versions]


def resources(version):
    kinds = KINDS[version].items()
    listed = [dict(name=plural, singularName=kind.lower(), namespaced=True, kind=kind, verbs=VERBS) for plural, kind in kinds]
    return dict(kind="APIResourceList", apiVersion="v1", groupVersion=version, resources=listed)


@contextlib.contextmanager
def cluster(version):
    """Cluster of a Kubernetes release such as 1.31 and its kubeconfig; shut down at the end of the block."""
    state = Cluster(version)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), dict(cluster=state)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    kubeconfig = dict(
        {"current-context": "test"},
        apiVersion="v1",
        kind="Config",
        clusters=[dict(name="test", cluster=dict(server=address))],
        users=[dict(name="test", user={})],
        contexts=[dict(name="test", context=dict(cluster="test", user="test"))],
    )
    try:
        yield state, yaml.safe_dump(kubeconfig)
    finally:
        server.shutdown()
        server.server_close()
