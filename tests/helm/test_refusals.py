"""Invalid values are refused before anything is installed: by the schema with the path and the accepted values, by the rules across
values with the path and the remedy."""

import helm_python
import pytest
from chart import CHART, VALUES, merged, values_of

REDIS = {"redis": {"existingSecret": "shop-redis"}}


def refusal_message(values):
    """Error message of Helm for these values; fails if Helm accepts them."""
    with helm_python.Config(storage_driver="memory") as helm, pytest.raises(helm_python.HelmError) as refused:
        helm.install(str(CHART), "shop", values, namespace="shops", dry_run="client")
    return str(refused.value)


def nested(path, value):
    """{"a": {"b": value}} of "a.b"."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


# Path, value, and the expected parts of the error: the path in the notation of Helm's schema, and the accepted values.
BY_SCHEMA = [
    ("replicaCount", 3, ["replicaCount", "not allowed"]),
    ("redis.host", "redis", ["/redis", "'host' not allowed"]),
    ("redis.existingSecret", "Shop_Redis", ["/redis/existingSecret", "does not match pattern"]),
    ("redis.development.persistence", True, ["/redis/development", "'persistence' not allowed"]),
    ("config.ingest.lingr", "1ms", ["/config/ingest", "'lingr' not allowed"]),
    ("config.cache", {}, ["/config", "'cache' not allowed"]),
    ("config.ingest.linger", "1 second", ["/config/ingest/linger", "does not match pattern"]),
    ("config.ingest.queue", "64MB", ["/config/ingest/queue", "KiB|MiB|GiB"]),
    ("config.ingest.acknowledge", "quorum", ["/config/ingest/acknowledge", "'auto', 'memory', 'disk', 'replica'"]),
    ("config.store.partitions", "64", ["/config/store/partitions", "want integer"]),
    ("config.model.automatic", "no", ["/config/model/automatic", "want boolean"]),
    ("config.server.drain_grace", 25, ["/config/server/drain_grace", "want string"]),
    ("tls.existingSecret", "Shop_TLS", ["/tls/existingSecret", "does not match pattern"]),
    ("tls.certificate", "x", ["/tls", "'certificate' not allowed"]),
    ("tls.clientCa.key", "a/b", ["/tls/clientCa/key", "does not match pattern"]),
    ("auth.tokens", [], ["/auth", "'tokens' not allowed"]),
    ("auth.cluster.token", "secret", ["/auth/cluster", "'token' not allowed"]),
    ("config.server.handshake_timeout", "10", ["/config/server/handshake_timeout", "does not match pattern"]),
    ("config.server.max_header", 16384, ["/config/server/max_header", "want string"]),
    ("image.tag", "a b", ["/image/tag", "does not match pattern"]),
    ("image.digest", "sha256:abc", ["/image/digest", "does not match pattern"]),
    ("image.pullPolicy", "Sometimes", ["/image/pullPolicy", "'Always', 'IfNotPresent', 'Never'"]),
    ("roles.query.imageTag", "a b", ["/roles/query/imageTag", "does not match pattern"]),
    ("defaults.replicas", 0, ["/defaults/replicas", "minimum"]),
    ("defaults.autoscaling.kind", "both", ["/defaults/autoscaling/kind", "'none', 'hpa', 'keda'"]),
    ("defaults.autoscaling.hpa.cpuPercent", 170, ["/defaults/autoscaling/hpa/cpuPercent", "maximum"]),
    ("defaults.resources.limit", {}, ["/defaults/resources", "'limit' not allowed"]),
    ("defaults.extraEnv", [{"value": "x"}], ["/defaults/extraEnv/0", "missing property 'name'"]),
    ("roles.ingest.livenessProbe", {}, ["/roles/ingest", "'livenessProbe' not allowed"]),
    ("roles.worker", {}, ["/roles", "'worker' not allowed"]),
    ("roles.query.probes.readiness.kind", "tcp", ["/roles/query/probes/readiness/kind", "'grpc', 'http'"]),
    ("roles.query.maxSurge", "a few", ["/roles/query/maxSurge", "does not match pattern"]),
    ("networkPolicy.redisPorts", [0], ["/networkPolicy/redisPorts/0", "minimum"]),
    ("networkPolicy.dnsPorts", [], ["/networkPolicy/dnsPorts", "minItems"]),
    ("networkPolicy.tracesTo", [{"pods": {}}], ["/networkPolicy/tracesTo/0", "'pods' not allowed"]),
    ("networkPolicy.extraIngress", [8080], ["/networkPolicy/extraIngress/0", "want object"]),
    ("platform", "eks", ["/platform", "'auto', 'kubernetes', 'openshift'"]),
    ("listenAddress", "::", ["/listenAddress", "'[::]', '0.0.0.0'"]),
    ("redis.existingSecretPasswordKey", "a b", ["/redis/existingSecretPasswordKey", "does not match pattern"]),
    ("redis.storeId", "shop-1", ["/redis/storeId", "does not match pattern"]),
    ("redis.clientCertificate.existingSecret", "A_B", ["/redis/clientCertificate/existingSecret", "does not match pattern"]),
    ("redis.clientCertificate.ca", "x", ["/redis/clientCertificate", "'ca' not allowed"]),
    ("defaults.service.ipFamilyPolicy", "Dual", ["/defaults/service/ipFamilyPolicy", "'PreferDualStack'"]),
    ("defaults.service.ipFamilies", ["IPv5"], ["/defaults/service/ipFamilies/0", "'IPv4', 'IPv6'"]),
    ("defaults.service.ipFamilies", ["IPv6", "IPv6"], ["/defaults/service/ipFamilies", "equal"]),
    ("defaults.service.nodePort", 70000, ["/defaults/service/nodePort", "maximum"]),
    ("defaults.service.loadBalancerSourceRanges", ["all"], ["/loadBalancerSourceRanges/0", "does not match pattern"]),
    ("defaults.service.externalTrafficPolicy", "local", ["/defaults/service/externalTrafficPolicy", "'Cluster', 'Local'"]),
    ("defaults.hostAliases", [{"ip": "10.0.0.1"}], ["/defaults/hostAliases/0", "missing property 'hostnames'"]),
    ("defaults.schedulerName", "My Scheduler", ["/defaults/schedulerName", "does not match pattern"]),
    ("defaults.runtimeClassName", "gVisor", ["/defaults/runtimeClassName", "does not match pattern"]),
    ("defaults.dnsConfig.ndots", 2, ["/defaults/dnsConfig", "'ndots' not allowed"]),
    ("defaults.lifecycle.preStart", {}, ["/defaults/lifecycle", "'preStart' not allowed"]),
    ("defaults.sidecars", [{"image": "x"}], ["/defaults/sidecars/0", "missing property 'name'"]),
    ("defaults.initContainers", [{"name": "Wait"}], ["/defaults/initContainers/0/name", "does not match pattern"]),
    ("defaults.extraEnvFrom", [{"prefix": "A_"}], ["/defaults/extraEnvFrom/0", "missing property"]),
    ("defaults.extraEnvFrom", [{"secret": {}}], ["/defaults/extraEnvFrom/0", "'secret' not allowed"]),
    ("defaults.podSecurityContext", "none", ["/defaults/podSecurityContext", "want null or object"]),
    ("roles.query.containerSecurityContext", [], ["/roles/query/containerSecurityContext", "want null or object"]),
    ("probe.tolerations", ["all"], ["/probe/tolerations/0", "want object"]),
    ("probe.resources.memory", "1Gi", ["/probe/resources", "'memory' not allowed"]),
    ("networkPolicy.callersFrom", [{"pods": {}}], ["/networkPolicy/callersFrom/0", "'pods' not allowed"]),
    ("monitoring.podMonitor.interval", "often", ["/monitoring/podMonitor/interval", "does not match pattern"]),
    ("monitoring.rules.runbooks", "https://runbooks.example/", ["/monitoring/rules/runbooks", "does not match pattern"]),
    ("fullnameOverride", "x" * 47, ["/fullnameOverride", "maxLength"]),
    ("probe.timeoutSeconds", 0, ["/probe/timeoutSeconds", "minimum"]),
]

KEDA = {"kind": "keda", "keda": {"serverAddress": "http://prometheus:9090"}}

# Values merged over REDIS, and the expected parts of the error: the path and the remedy.
BY_RULE = [
    ({"redis": {"existingSecret": ""}}, ["redis.existingSecret is empty", "name a Secret"]),
    ({"redis": {"url": "redis://redis:6379"}}, ["redis.existingSecret and redis.url are all set", "keep one"]),
    ({"redis": {"development": {"enabled": True}}}, ["redis.development.enabled are all set", "keep one"]),
    ({"redis": {"existingSecret": "", "url": "redis:6379"}}, ['redis.url is "redis:6379"', "write it as redis://host:6379"]),
    ({"redis": {"existingSecret": "", "url": "redis://:secret@redis:6379"}}, ["redis.url has a password", "redis.existingSecret"]),
    (
        {"redis": {"existingSecret": "", "url": "redis://redis:6379", "certificateAuthority": {"existingSecret": "ca"}}},
        ["redis.certificateAuthority.existingSecret is set", "begin it with rediss://"],
    ),
    (
        {"redis": {"existingSecret": "", "development": {"enabled": True}}, "config": {"ingest": {"acknowledge": "replica"}}},
        ["config.ingest.acknowledge is replica", "use disk"],
    ),
    (
        {"redis": {"existingSecret": "", "existingSecretPasswordKey": "p", "url": "redis://a:1"}},
        ["redis.existingSecretPasswordKey is set", "redis.existingSecret is empty", "name the Secret"],
    ),
    (nested("redis.existingSecretPasswordKey", "p"), ["redis.existingSecretPasswordKey is set", "redis.url is empty", "redis://user@host"]),
    (
        {"redis": {"existingSecretPasswordKey": "p", "url": "redis://u:secret@a:1"}},
        ["redis.url has a password", "put the URL into a Secret"],
    ),
    (
        {"redis": {"existingSecret": "", "url": "redis://user@redis:6379"}},
        ["redis.url has a user without a password", "redis.existingSecretPasswordKey"],
    ),
    (
        {"redis": {"existingSecret": "", "url": "redis://redis:6379", "clientCertificate": {"existingSecret": "c"}}},
        ["redis.clientCertificate.existingSecret is set", "begin it with rediss://"],
    ),
    (
        {"redis": {"existingSecretPasswordKey": "p", "url": "redis://a:1", "clientCertificate": {"existingSecret": "c"}}},
        ["redis.clientCertificate.existingSecret is set, but the URL", "begin it with rediss://"],
    ),
    (
        nested("redis.clientCertificate.privateKeyKey", "tls.crt"),
        ["redis.clientCertificate.certificateKey and privateKeyKey are both tls.crt", "need different keys"],
    ),
    (
        {"redis": {"existingSecret": "", "storeId": "0" * 32, "development": {"enabled": True}}},
        ["redis.storeId is set", "remove redis.storeId"],
    ),
    (nested("config.server.listen", "0.0.0.0:1"), ["config.server.listen is set", "remove it"]),
    (nested("config.server.http_listen", "0.0.0.0:1"), ["config.server.http_listen is set", "remove it"]),
    (nested("config.server.tls_certificate", "/c"), ["config.server.tls_certificate is set", "tls.existingSecret"]),
    (nested("config.server.tls_key", "/k"), ["config.server.tls_key is set", "tls.existingSecret"]),
    (nested("config.server.tls_client_ca", "/c"), ["config.server.tls_client_ca is set", "tls.clientCa.existingSecret"]),
    (nested("config.server.tokens_file", "/t"), ["config.server.tokens_file is set", "auth.existingSecret"]),
    (nested("config.cluster.ca", "/c"), ["config.cluster.ca is set", "tls.ca.existingSecret"]),
    (nested("config.cluster.certificate", "/c"), ["config.cluster.certificate is set", "remove it"]),
    (nested("config.cluster.key", "/k"), ["config.cluster.key is set", "remove it"]),
    (nested("config.cluster.token_file", "/t"), ["config.cluster.token_file is set", "auth.cluster.existingSecret"]),
    (nested("tls.ca.existingSecret", "ca"), ["tls.ca.existingSecret is set", "tls.existingSecret is empty", "remove this value"]),
    (nested("tls.clientCa.existingSecret", "ca"), ["tls.clientCa.existingSecret is set", "tls.existingSecret is empty"]),
    (nested("tls.privateKeyKey", "tls.crt"), ["tls.certificateKey and tls.privateKeyKey are both tls.crt", "need different keys"]),
    (nested("auth.cluster.existingSecret", "t"), ["auth.cluster.existingSecret is set", "auth.existingSecret is empty"]),
    (nested("auth.probe.existingSecret", "t"), ["auth.probe.existingSecret is set", "auth.existingSecret is empty"]),
    (
        nested("defaults.extraEnv", [{"name": "PORTRAIT_TOKEN", "value": "secret"}]),
        ["extraEnv sets PORTRAIT_TOKEN", "auth.cluster.existingSecret"],
    ),
    (nested("config.store.url", "redis://redis:6379"), ["config.store.url is set", "redis.existingSecret"]),
    (nested("config.store.url_file", "/url"), ["config.store.url_file is set", "redis.existingSecret"]),
    (nested("config.store.certificate_authority", "/ca"), ["config.store.certificate_authority is set", "redis.certificateAuthority"]),
    (nested("config.profiles.models", "http://m:1"), ["config.profiles.models is set", "remove it"]),
    (nested("config.profiles.node", "me"), ["config.profiles.node is set", "remove it"]),
    (nested("config.model.features", "http://f:1"), ["config.model.features is set", "remove it"]),
    (
        {"config": {"ingest": {"acknowledge": "replica"}, "store": {"replicas": 0}}},
        ["config.store.replicas is 0", "set the number of replicas"],
    ),
    (
        {"config": {"ingest": {"user_events_per_second": 50, "user_burst": 0}}},
        ["config.ingest.user_burst is 0", "set it to at least 1"],
    ),
    (nested("config.feature.lease_ttl", "5s"), ["config.feature.lease_renewal is 3s", "at most a third"]),
    (nested("config.query.read_after_wait", "1m"), ["config.query.read_after_wait_max is less", "raise it to at least that value"]),
    (nested("config.model.segments_min", 20), ["config.model.segments_max is less", "raise it to at least that value"]),
    (nested("config.model.rows_max", 100), ["config.model.rows_max is less", "raise it to at least that value"]),
    (nested("config.server.drain_grace", "1m"), ["terminationGracePeriodSeconds is 45", "set it to at least 75"]),
    (
        nested("roles.query.terminationGracePeriodSeconds", 30),
        ["roles.query (or defaults).terminationGracePeriodSeconds is 30", "set it to at least 40"],
    ),
    (nested("roles.model.maxSurge", 0), ["roles.model (or defaults).maxUnavailable and maxSurge are both 0", "set one of them"]),
    (
        nested("roles.query.autoscaling", {"kind": "hpa", "minReplicas": 9}),
        ["roles.query (or defaults).autoscaling.minReplicas is 9", "set it to at most autoscaling.maxReplicas, which is 6"],
    ),
    (
        {"defaults": {"resources": {"requests": {"cpu": None}}}, "roles": {"query": {"autoscaling": {"kind": "hpa"}}}},
        ["roles.query (or defaults).resources.requests.cpu is empty", "set it, because utilization"],
    ),
    (
        nested("roles.feature.autoscaling.kind", "keda"),
        ["roles.feature (or defaults).autoscaling.keda.serverAddress is empty", "set the URL of Prometheus"],
    ),
    (nested("roles.query.autoscaling", KEDA), ["roles.query (or defaults).autoscaling.keda.query is empty", "choose hpa"]),
    (nested("roles.feature.replicas", 65), ["roles.feature (or defaults) has up to 65 pods for 64 partitions", "at most 64"]),
    (
        {"config": {"store": {"partitions": 4}}, "roles": {"feature": {"autoscaling": {"kind": "hpa"}}}},
        ["roles.feature (or defaults) has up to 6 pods for 4 partitions", "at most 4"],
    ),
    (
        nested("roles.query", {"replicas": 3, "podDisruptionBudget": {"maxUnavailable": ""}}),
        ["roles.query (or defaults).podDisruptionBudget sets neither", "set one of them"],
    ),
    (
        nested("roles.query", {"replicas": 3, "podDisruptionBudget": {"minAvailable": 2}}),
        ["roles.query (or defaults).podDisruptionBudget sets both maxUnavailable and minAvailable", "keep one"],
    ),
    (
        nested("roles.query", {"replicas": 3, "podDisruptionBudget": {"minAvailable": 3, "maxUnavailable": ""}}),
        ["roles.query (or defaults).podDisruptionBudget blocks every eviction", "allow at least one of 3"],
    ),
    (
        nested("defaults", {"replicas": 2, "podDisruptionBudget": {"maxUnavailable": 0}}),
        ["podDisruptionBudget blocks every eviction", "allow at least one of 2"],
    ),
    (
        nested("roles.ingest.extraEnv", [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        ["roles.ingest (or defaults).extraEnv has A twice", "keep one"],
    ),
    (
        nested("defaults.extraEnv", [{"name": "PORTRAIT__STORE__URL", "value": "redis://:secret@r"}]),
        ["extraEnv sets PORTRAIT__STORE__URL", "name a Secret in redis.existingSecret"],
    ),
    (
        nested("defaults.extraEnv", [{"name": "PORTRAIT__SERVER__LISTEN", "value": "0.0.0.0:1"}]),
        ["extraEnv sets PORTRAIT__SERVER__LISTEN", "remove it"],
    ),
    (
        {"redis": {"existingSecretPasswordKey": "p", "url": "redis://a:1"},
         "defaults": {"extraEnv": [{"name": "REDIS_PASSWORD", "value": "x"}]}},
        ["extraEnv has REDIS_PASSWORD twice, or the chart sets it", "keep one"],
    ),
    (
        nested("defaults.extraEnv", [{"name": "PORTRAIT_LOG_FILTER", "value": "debug"}]),
        ["extraEnv sets PORTRAIT_LOG_FILTER", "write a configuration key as PORTRAIT__SECTION__KEY"],
    ),
    (
        nested("roles.query.extraEnv", [{"name": "portrait__log__filter", "value": "debug"}]),
        ["roles.query (or defaults).extraEnv sets portrait__log__filter", "PORTRAIT__SECTION__KEY"],
    ),
    (
        nested("roles.query.sidecars", [{"name": "portrait", "image": "x"}]),
        ["roles.query (or defaults).sidecars has portrait", "choose another name"],
    ),
    (
        nested("roles.ingest", {"initContainers": [{"name": "a", "image": "x"}], "sidecars": [{"name": "a", "image": "x"}]}),
        ["roles.ingest (or defaults).sidecars has a", "choose another name"],
    ),
    (
        nested("roles.ingest.service.loadBalancerSourceRanges", ["10.0.0.0/8"]),
        ["service.loadBalancerSourceRanges is set", "service.type is ClusterIP", "set it to LoadBalancer"],
    ),
    (
        nested("roles.ingest.service", {"type": "NodePort", "loadBalancerClass": "a/b"}),
        ["service.loadBalancerClass is set", "service.type is NodePort", "set it to LoadBalancer"],
    ),
    (nested("roles.ingest.service.nodePort", 30051), ["service.nodePort is set", "set it to NodePort or LoadBalancer"]),
    (
        nested("defaults.service.externalTrafficPolicy", "Local"),
        ["service.externalTrafficPolicy is set", "set it to NodePort or LoadBalancer"],
    ),
    (
        nested("defaults.service", {"type": "NodePort", "nodePort": 30051}),
        ["service.nodePort is 30051, which ingest has too", "give each role its own"],
    ),
    (
        nested("defaults.service.ipFamilies", ["IPv4", "IPv6"]),
        ["service.ipFamilies names two families", "set it to PreferDualStack"],
    ),
    (
        nested("roles.query.service", {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6", "IPv4"]}),
        ['roles.query (or defaults).service.ipFamilies names two families', '"SingleStack"', "or name one family"],
    ),
    (
        nested("roles.query.lifecycle", {"preStop": {"sleep": {"seconds": 20}}}),
        ["roles.query (or defaults).terminationGracePeriodSeconds is 45", "set it to at least 60"],
    ),
    (
        {"networkPolicy": {"enabled": True}, "defaults": {"extraEnv": [{"name": "PORTRAIT__TRACE__ENDPOINT", "value": "http://c:4317"}]}},
        ["extraEnv sets PORTRAIT__TRACE__ENDPOINT", "set config.trace.endpoint instead"],
    ),
    (
        {"redis": {"existingSecret": "", "url": "redis://a:6390"}, "networkPolicy": {"enabled": True, "redisPorts": [6379]}},
        ["networkPolicy.redisPorts does not have 6390", "leave redisPorts empty"],
    ),
    (
        {"networkPolicy": {"enabled": True, "tracesTo": [{"podSelector": {}}]}},
        ["networkPolicy.tracesTo is set", "config.trace.endpoint is empty"],
    ),
    (nested("networkPolicy.extraIngress", [{"ports": [{"port": 1}]}]), ["networkPolicy.enabled is false", "set it to true"]),
    (nested("config.trace.endpoint", "collector:4317"), ["config.trace.endpoint is", "write it as http://collector:4317"]),
    (nested("config.store.certificate", "/c"), ["config.store.certificate is set", "redis.clientCertificate.existingSecret"]),
    (nested("config.store.key", "/k"), ["config.store.key is set", "redis.clientCertificate.existingSecret"]),
    (nested("config.store.id", "s"), ["config.store.id is set", "redis.storeId"]),
    (nested("probe.podLabels", {"app.kubernetes.io/component": "x"}), ["probe.podLabels sets app.kubernetes.io/component", "another"]),
    (nested("commonLabels", {"helm.sh/chart": "x"}), ["commonLabels sets helm.sh/chart", "choose another label"]),
    (
        nested("monitoring.rules.labels", {"app.kubernetes.io/version": "1"}),
        ["monitoring.rules.labels sets app.kubernetes.io/version", "choose another label"],
    ),
    (nested("defaults.extraVolumes", [{"name": "redis-client", "emptyDir": {}}]), ["extraVolumes has redis-client", "another name"]),
    (nested("defaults.extraVolumes", [{"name": "config", "emptyDir": {}}]), ["extraVolumes has config", "choose another name"]),
    (
        nested("defaults.extraVolumeMounts", [{"name": "x", "mountPath": "/etc/portrait/config"}]),
        ["extraVolumeMounts mounts /etc/portrait/config", "mount it elsewhere"],
    ),
    (
        nested("defaults.podLabels", {"app.kubernetes.io/component": "x"}),
        ["podLabels sets app.kubernetes.io/component", "choose another label"],
    ),
    (nested("commonLabels", {"app.kubernetes.io/name": "x"}), ["commonLabels sets app.kubernetes.io/name", "choose another label"]),
    (nested("networkPolicy.redisTo", [{"ipBlock": {"cidr": "10.0.0.0/8"}}]), ["networkPolicy.enabled is false", "set it to true"]),
]


@pytest.mark.parametrize(("path", "value", "parts"), BY_SCHEMA, ids=[f"{row[0]} {row[1]}" for row in BY_SCHEMA])
def test_an_invalid_value_is_refused_with_its_path(path, value, parts):
    message = refusal_message(merged(REDIS, nested(path, value)))
    for part in parts:
        assert part in message


@pytest.mark.parametrize(("values", "parts"), BY_RULE, ids=[row[1][0] for row in BY_RULE])
def test_conflicting_values_are_refused_with_path_and_remedy(values, parts):
    message = refusal_message(merged(REDIS, values))
    for part in parts:
        assert part in message


@pytest.mark.parametrize("name", VALUES)
def test_valid_values_are_accepted(name):
    with helm_python.Config(storage_driver="memory") as helm:
        helm.install(str(CHART), "shop", values_of(name), namespace="shops", dry_run="client")
