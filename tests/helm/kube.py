"""A Kubernetes API server in memory, as much of one as Helm needs: discovery, objects (create, read, replace, patch, server-side apply,
delete), selectors and watches. In come Helm's requests, out go answers; every object is held against the schema of its kind. What
controllers would do is done at once: a Deployment is available, unless its image is one that never gets ready, and a Pod has
succeeded. There is no admission, no scheduling and no network."""

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

# Pods of an image with this in its name never get ready.
NEVER_READY = "never-ready"

# What the server knows: by group and version, plural and kind.
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
# How long a watch stays open when nothing is said about it.
WATCH_SECONDS = 30


class Refused(Exception):
    """An answer that is no success, as the API has it."""

    def __init__(self, code, reason, message):
        super().__init__(message)
        self.status = dict(kind="Status", apiVersion="v1", status="Failure", reason=reason, message=message, code=code)


class Cluster:
    """The objects, and what happened to them."""

    def __init__(self, version):
        self.version = version
        self.objects = {}
        # (revision, what, place without the name, object), in order; watches read on from where they were.
        self.happened = []
        self.revision = 100
        self.changed = threading.Condition()

    def find(self, kind):
        """The objects of a kind, by name."""
        with self.changed:
            return {place[2]: copy.deepcopy(found) for place, found in self.objects.items() if found["kind"] == kind}

    def listed(self, plural, namespace, query):
        """The objects of one kind that a request asks for."""
        places = sorted(place for place in self.objects if place[0] == plural and namespace in ("", place[1]))
        return [self.objects[place] for place in places if selected(self.objects[place], query)]

    def put(self, place, wanted, dry_run):
        """Writes an object; what it is then."""
        before = self.objects.get(place)
        written = copy.deepcopy(wanted)
        self.check(written)
        metadata = written["metadata"]
        metadata.pop("managedFields", None)
        old = before["metadata"] if before else {}
        changed = before is not None and before.get("spec") != written.get("spec")
        metadata["namespace"] = place[1]
        metadata["uid"] = old.get("uid") or str(uuid.uuid4())
        metadata["creationTimestamp"] = old.get("creationTimestamp") or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        metadata["generation"] = old.get("generation", 1) + int(changed)
        control(written)
        if not dry_run:
            self.objects[place] = written
            self.tell("MODIFIED" if before else "ADDED", place, written)
        return written

    def delete(self, place):
        gone = self.objects.pop(place)
        self.tell("DELETED", place, gone)
        return gone

    def tell(self, what, place, changed):
        self.revision += 1
        changed["metadata"]["resourceVersion"] = str(self.revision)
        self.happened.append((self.revision, what, place[:2], copy.deepcopy(changed)))
        self.changed.notify_all()

    def check(self, written):
        """Holds an object against the schema of its kind; of kinds that are not Kubernetes' own there is none."""
        try:
            kubernetes_validate.validate(written, self.version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            pass
        except kubernetes_validate.ValidationError as error:
            name = f"{written['kind']} {written['metadata'].get('name')}"
            raise Refused(422, "Invalid", f"{name}: {error.message}") from error


def control(written):
    """What the controllers of a kind would have made of it after a while."""
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
    """A merge patch: what is null goes, maps are merged, everything else is replaced."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    kept = {key: value for key, value in old.items() if key not in new}
    return kept | {key: merged(old.get(key), value) for key, value in new.items() if value is not None}


def selected(found, query):
    """Whether an object has the labels and fields that a request asks for."""
    labels = found["metadata"].get("labels") or {}
    terms = re.split(r",(?![^(]*\))", query.get("labelSelector", ""))
    return all(label_fits(labels, term.strip()) for term in terms if term) and all(
        field_fits(found, term) for term in query.get("fieldSelector", "").split(",") if term
    )


def label_fits(labels, term):
    if among := re.match(r"(\S+)\s+(in|notin)\s+\((.*)\)$", term):
        key, how, values = among.groups()
        return (labels.get(key) in re.split(r"\s*,\s*", values)) == (how == "in")
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
    """The fields of a protobuf message, by number; texts and messages stay bytes."""
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


def of_protobuf(raw):
    """An object as Helm sends those of its own storage, Secrets and ConfigMaps: in an envelope of protobuf."""
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
    """One connection."""

    protocol_version = "HTTP/1.1"
    cluster = None

    def log_message(self, *_):
        """Says nothing: a test that fails says what is wrong."""

    def answer(self, code, body, content_type="application/json"):
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
        except Refused as refused:
            self.answer(refused.status["code"], refused.status)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

    def route(self, path, query, raw):
        match path:
            case ["version"]:
                major, minor = self.cluster.version.split(".")
                self.answer(200, dict(major=major, minor=minor, gitVersion=f"v{self.cluster.version}.0"))
            case ["api"]:
                self.answer(200, dict(kind="APIVersions", versions=["v1"]))
            case ["apis"]:
                self.answer(200, dict(kind="APIGroupList", apiVersion="v1", groups=groups()))
            case ["openapi", "v2"]:
                # The smallest document: with no kind in it, callers check nothing themselves.
                document = b"\x0a\x032.0\x12\x0b\x0a\x04fake\x12\x031.0"
                self.answer(200, document, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf")
            case ["api", version, *rest] if version in KINDS:
                self.resource(version, rest, query, raw)
            case ["apis", group, version, *rest] if f"{group}/{version}" in KINDS:
                self.resource(f"{group}/{version}", rest, query, raw)
            case _:
                raise Refused(404, "NotFound", self.path)

    def resource(self, version, path, query, raw):
        if not path:
            return self.answer(200, resources(version))
        namespace = ""
        if path[0] == "namespaces" and len(path) > 2:
            namespace, path = path[1], path[2:]
        plural, name = path[0], path[1] if len(path) > 1 else None
        if plural not in KINDS[version]:
            raise Refused(404, "NotFound", plural)
        with self.cluster.changed:
            if self.command == "GET" and name is None:
                return self.many(version, plural, namespace, query)
            sent = None
            if raw and self.command != "DELETE":
                sent = of_protobuf(raw) if raw.startswith(b"k8s\0") else yaml.safe_load(raw)
                sent = {"apiVersion": version, "kind": KINDS[version][plural]} | sent
            place = (plural, namespace, name or sent["metadata"]["name"])
            code, found = self.one(place, sent, "dryRun" in query)
        return self.answer(code, found)

    def one(self, place, sent, dry_run):
        """What becomes of one object: the code and the object."""
        cluster, known = self.cluster, place in self.cluster.objects
        applies = "apply-patch" in self.headers.get("Content-Type", "")
        if self.command == "POST" and known:
            raise Refused(409, "AlreadyExists", f'{place[0]} "{place[2]}" already exists')
        if self.command != "POST" and not known and not applies:
            raise Refused(404, "NotFound", f'{place[0]} "{place[2]}" not found')
        match self.command:
            case "GET":
                return 200, cluster.objects[place]
            case "DELETE":
                return 200, cluster.delete(place)
            case "PATCH" if known:
                # Who applies owns all of it here: what is not sent any more goes.
                old = {key: value for key, value in cluster.objects[place].items() if not applies or key not in ("spec", "data")}
                sent = merged(old, sent)
        return (200 if known else 201), cluster.put(place, sent, dry_run)

    def many(self, version, plural, namespace, query):
        if query.get("watch") in ("1", "true"):
            return self.watch(version, plural, namespace, query)
        found = self.cluster.listed(plural, namespace, query)
        head = dict(kind=KINDS[version][plural] + "List", apiVersion=version)
        return self.answer(200, head | dict(metadata=dict(resourceVersion=str(self.cluster.revision)), items=found))

    def watch(self, version, plural, namespace, query):
        """Tells of changes until the time is over; the lock is held, and given back while there is nothing to tell."""
        cluster = self.cluster
        since = int(query.get("resourceVersion") or cluster.revision)
        end = time.monotonic() + min(float(query.get("timeoutSeconds") or WATCH_SECONDS), WATCH_SECONDS)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        told = next((index for index, (revision, *_) in enumerate(cluster.happened) if revision > since), len(cluster.happened))
        with contextlib.suppress(OSError):
            if query.get("sendInitialEvents") == "true":
                told = len(cluster.happened)
                for found in cluster.listed(plural, namespace, query):
                    self.chunk("ADDED", found)
                ended = {"k8s.io/initial-events-end": "true"}
                metadata = dict(resourceVersion=str(cluster.revision), annotations=ended)
                self.chunk("BOOKMARK", dict(kind=KINDS[version][plural], apiVersion=version, metadata=metadata))
            while time.monotonic() < end:
                for _, what, place, found in cluster.happened[told:]:
                    if place[0] == plural and namespace in ("", place[1]) and selected(found, query):
                        self.chunk(what, found)
                told = len(cluster.happened)
                self.wfile.flush()
                cluster.changed.wait(0.2)
            self.wfile.write(b"0\r\n\r\n")
            return
        # The watcher is gone.
        self.close_connection = True

    def chunk(self, what, found):
        line = json.dumps(dict(type=what, object=found)).encode() + b"\n"
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
    """A cluster of a release of Kubernetes, as 1.31, and the kubeconfig to reach it by; it ends with the block."""
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
