{{/*
Shared definitions: names, labels, the merged values of a role, the configuration as TOML, intervals in milliseconds. This file
renders no object. Names from the values are quoted wherever they are a scalar of their own: a name such as true, null or 1e3 is
valid in Kubernetes and no string in YAML.
*/}}

{{/* Roles, in rendering order. */}}
{{- define "portrait.roles" -}}
ingest feature model query
{{- end }}

{{/* Listening ports of every role. */}}
{{- define "portrait.grpcPort" -}}50051{{- end }}
{{- define "portrait.httpPort" -}}8080{{- end }}

{{/* Prefix of all object names. 46 leaves space for the longest suffix, "-feature-headless", in the 63 characters of a name. */}}
{{- define "portrait.fullname" -}}
{{- $chart := default .Chart.Name .Values.nameOverride -}}
{{- $both := ternary .Release.Name (printf "%s-%s" .Release.Name $chart) (contains $chart .Release.Name) -}}
{{- default $both .Values.fullnameOverride | trunc 46 | trimSuffix "-" -}}
{{- end }}

{{/* Selector labels of the pods of a release: (dict "root" $ "component" "ingest"), or all pods without a component. */}}
{{- define "portrait.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{/* Labels of a pod, without the version: a new chart version alone must not replace pods. `labels` precede commonLabels. */}}
{{- define "portrait.podLabels" -}}
{{ include "portrait.selectorLabels" . }}
{{- with merge (deepCopy (default dict .labels)) .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of an object: (dict "root" $ "component" "ingest" "labels" dict). */}}
{{- define "portrait.labels" -}}
{{ include "portrait.podLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Metadata of an object: (dict "root" $ "component" "ingest" "name" "-ingest" "labels" dict "annotations" dict). */}}
{{- define "portrait.metadata" -}}
name: {{ printf "%s%s" (include "portrait.fullname" .root) .name | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "portrait.labels" . | nindent 2 }}
{{- with mergeOverwrite (deepCopy .root.Values.commonAnnotations) (default dict .annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Map without the keys whose value is null, at every depth, as YAML: null in the values removes a default. */}}
{{- define "portrait.withoutNulls" -}}
{{- $kept := dict -}}
{{- range $key, $value := . -}}
{{- if kindIs "map" $value -}}
{{- $_ := set $kept $key (include "portrait.withoutNulls" $value | fromYaml) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $kept $key $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $kept -}}
{{- end }}

{{/*
Merged values of one role, as YAML: (dict "root" $ "role" "ingest"). The memory of feature and model is set here and not in
values.yaml, because Helm would merge a default of the role into `limits: null`.
*/}}
{{- define "portrait.role" -}}
{{- $memory := dict "feature" (dict "limits" "2Gi") "model" (dict "requests" "512Mi" "limits" "2Gi") -}}
{{- $values := deepCopy .root.Values.defaults -}}
{{- range $kind, $size := get $memory .role | default dict -}}
{{- $quantities := get ($values.resources | default dict) $kind -}}
{{- if kindIs "map" $quantities -}}
{{- if hasKey $quantities "memory" }}{{ $_ := set $quantities "memory" $size }}{{ end -}}
{{- end -}}
{{- end -}}
{{- mergeOverwrite $values (deepCopy (index .root.Values.roles .role | default dict)) | include "portrait.withoutNulls" -}}
{{- end }}

{{/* Values of pods that belong to no role, as YAML. */}}
{{- define "portrait.defaults" -}}
{{- include "portrait.withoutNulls" .Values.defaults -}}
{{- end }}

{{/* Image reference: by the tag of the role (`tag`), else by digest, else by image.tag. */}}
{{- define "portrait.image" -}}
{{- $root := .root -}}
{{- $tag := .tag -}}
{{- with $root.Values.image -}}
{{- if .registry }}{{ .registry }}/{{ end }}{{ .repository }}
{{- if $tag }}:{{ $tag }}{{ else if .digest }}@{{ .digest }}{{ else }}:{{ default $root.Chart.AppVersion .tag }}{{ end }}
{{- end -}}
{{- end }}

{{- define "portrait.serviceAccount" -}}
{{- default (ternary (include "portrait.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end }}

{{/* Secret with the URL of Redis, and its key. */}}
{{- define "portrait.redisSecret" -}}
{{- default (printf "%s-redis" (include "portrait.fullname" .)) .Values.redis.existingSecret -}}
{{- end }}
{{- define "portrait.redisSecretKey" -}}
{{- ternary .Values.redis.existingSecretKey "url" (ne .Values.redis.existingSecret "") -}}
{{- end }}

{{/* URL of Redis without a password, as far as the values have it; empty if it is in a Secret. */}}
{{- define "portrait.knownUrl" -}}
{{- if .Values.redis.development.enabled -}}
redis://{{ include "portrait.fullname" . }}-redis:6379
{{- else -}}
{{ .Values.redis.url }}
{{- end -}}
{{- end }}

{{/* URL of Redis that the chart itself puts into a Secret; empty if redis.existingSecret is set. */}}
{{- define "portrait.redisUrl" -}}
{{- if not .Values.redis.existingSecret }}{{ include "portrait.knownUrl" . }}{{ end -}}
{{- end }}

{{/*
Variables with the password and the URL of Redis, for a Secret that has a password alone. Kubernetes expands $(REDIS_PASSWORD), so no
object contains the password. A variable of the configuration precedes the file.
*/}}
{{- define "portrait.redisEnv" -}}
{{- with .Values.redis -}}
{{- if .existingSecretPasswordKey -}}
{{- $scheme := splitList "://" .url | first -}}
{{- $rest := splitList "://" .url | last -}}
{{- $user := regexFind "^.*@" $rest | trimSuffix "@" | trimSuffix ":" -}}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .existingSecretPasswordKey | quote }}}
- name: PORTRAIT__STORE__URL
  value: {{ printf "%s://%s:$(REDIS_PASSWORD)@%s" $scheme $user (regexReplaceAll "^.*@" $rest "") | quote }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Ports of the servers in the URL of Redis, as JSON; of 6379 if the URL is in a Secret. */}}
{{- define "portrait.urlPorts" -}}
{{- $servers := include "portrait.knownUrl" . | default "redis://redis" | regexFind "://.*" | trimPrefix "://" -}}
{{- $ports := list -}}
{{- range splitList "," (regexReplaceAll "/.*$" (regexReplaceAll "^.*@" $servers "") "") -}}
{{- $ports = append $ports (regexFind ":[0-9]+$" . | trimPrefix ":" | default "6379" | int) -}}
{{- end -}}
{{- uniq $ports | toJson -}}
{{- end }}

{{/* Port of the collector in config.trace.endpoint; empty without one. */}}
{{- define "portrait.tracePort" -}}
{{- with (.Values.config.trace | default dict).endpoint -}}
{{- $authority := regexReplaceAll "/.*$" (regexReplaceAll "^https?://" . "") "" -}}
{{- regexFind ":[0-9]+$" $authority | trimPrefix ":" | default (ternary "443" "80" (hasPrefix "https://" .)) -}}
{{- end -}}
{{- end }}

{{/* URL scheme between roles, with or without TLS. */}}
{{- define "portrait.scheme" -}}
{{- ternary "https" "http" (ne .Values.tls.existingSecret "") -}}
{{- end }}

{{/*
Certificates and tokens of the pods, as YAML: Secret, key and mount path below /etc/portrait of each file. Each Secret is mounted whole
in its own directory, because Kubernetes swaps such a mount atomically when the Secret changes.
*/}}
{{- define "portrait.secured" -}}
{{- $files := list -}}
{{- with .Values.redis.clientCertificate -}}
{{- if .existingSecret -}}
{{- $files = append $files (dict "volume" "redis-client" "secret" .existingSecret "items" (dict .certificateKey "tls.crt" .privateKeyKey "tls.key")) -}}
{{- end -}}
{{- end -}}
{{- with .Values.tls -}}
{{- if .existingSecret -}}
{{- $files = append $files (dict "volume" "tls" "secret" .existingSecret "items" (dict .certificateKey "tls.crt" .privateKeyKey "tls.key")) -}}
{{- $files = append $files (dict "volume" "tls-ca" "secret" (default .existingSecret .ca.existingSecret) "items" (dict .ca.key "ca.crt")) -}}
{{- end -}}
{{- if .clientCa.existingSecret -}}
{{- $files = append $files (dict "volume" "client-ca" "secret" .clientCa.existingSecret "items" (dict .clientCa.key "ca.crt")) -}}
{{- end -}}
{{- end -}}
{{- with .Values.auth -}}
{{- if .existingSecret -}}
{{- $files = append $files (dict "volume" "tokens" "secret" .existingSecret "items" (dict .tokensKey "tokens.toml")) -}}
{{- $files = append $files (dict "volume" "cluster-token" "secret" (default .existingSecret .cluster.existingSecret) "items" (dict .cluster.key "token")) -}}
{{- end -}}
{{- end -}}
{{- toYaml (dict "files" $files) -}}
{{- end }}

{{/* Volumes and mounts of the entries of portrait.secured. */}}
{{- define "portrait.securedVolumes" -}}
{{- range . }}
- name: {{ .volume }}
  secret:
    secretName: {{ .secret | quote }}
    defaultMode: 0440
    items:
      {{- range $key, $path := .items }}
      - {key: {{ $key | quote }}, path: {{ $path }}}
      {{- end }}
{{- end }}
{{- end }}
{{- define "portrait.securedMounts" -}}
{{- range . }}
- {name: {{ .volume }}, mountPath: /etc/portrait/{{ .volume }}, readOnly: true}
{{- end }}
{{- end }}

{{/* Complete configuration, as YAML: the values merged with the keys that the chart sets. */}}
{{- define "portrait.config" -}}
{{- $fullname := include "portrait.fullname" . -}}
{{- $address := .Values.listenAddress -}}
{{- $listen := dict "listen" (printf "%s:%s" $address (include "portrait.grpcPort" .)) "http_listen" (printf "%s:%s" $address (include "portrait.httpPort" .)) -}}
{{- $store := dict -}}
{{- if not .Values.redis.existingSecretPasswordKey -}}
{{- $_ := set $store "url_file" "/etc/portrait/redis/url" -}}
{{- end -}}
{{- with .Values.redis.storeId -}}
{{- $_ := set $store "id" . -}}
{{- end -}}
{{- if .Values.redis.clientCertificate.existingSecret -}}
{{- $store = merge $store (dict "certificate" "/etc/portrait/redis-client/tls.crt" "key" "/etc/portrait/redis-client/tls.key") -}}
{{- end -}}
{{- if .Values.redis.certificateAuthority.existingSecret -}}
{{- $_ := set $store "certificate_authority" "/etc/portrait/redis-ca/ca.crt" -}}
{{- end -}}
{{- $server := $listen -}}
{{- $cluster := dict -}}
{{- if .Values.tls.existingSecret -}}
{{- $server = merge $server (dict "tls_certificate" "/etc/portrait/tls/tls.crt" "tls_key" "/etc/portrait/tls/tls.key") -}}
{{- $_ := set $cluster "ca" "/etc/portrait/tls-ca/ca.crt" -}}
{{- end -}}
{{- if .Values.tls.clientCa.existingSecret -}}
{{- $_ := set $server "tls_client_ca" "/etc/portrait/client-ca/ca.crt" -}}
{{- end -}}
{{- if .Values.auth.existingSecret -}}
{{- $_ := set $server "tokens_file" "/etc/portrait/tokens/tokens.toml" -}}
{{- $_ := set $cluster "token_file" "/etc/portrait/cluster-token/token" -}}
{{- end -}}
{{- $at := printf "%s://%s-%%s:%s" (include "portrait.scheme" .) $fullname (include "portrait.grpcPort" .) -}}
{{- $own := dict
  "server" $server
  "cluster" $cluster
  "store" $store
  "profiles" (dict "models" (printf $at "model"))
  "model" (dict "features" (printf $at "feature"))
-}}
{{- mergeOverwrite (deepCopy .Values.config) $own | toYaml }}
{{- end }}

{{/* Configuration as TOML. Strings, numbers and lists of JSON are valid TOML; Helm's own toToml renders 16 as 16.0. */}}
{{- define "portrait.toml" -}}
{{- range $section, $keys := . }}
[{{ $section }}]
{{- range $key, $value := $keys }}
{{- if kindIs "map" $value }}
{{ $key }} = { {{- range $index, $name := keys $value | sortAlpha }}{{ if $index }},{{ end }} {{ toRawJson $name }} = {{ index $value $name | toRawJson }}{{ end }} }
{{- else }}
{{ $key }} = {{ toRawJson $value }}
{{- end }}
{{- end }}
{{ end }}
{{- end }}

{{/* Interval such as 5s, in milliseconds. */}}
{{- define "portrait.millis" -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- $unit := regexFind "[a-z]*$" . -}}
{{- mul $number (get (dict "" 1 "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000) $unit) -}}
{{- end }}

{{/* "true" on OpenShift, which assigns users and groups from a range of the namespace and refuses others. */}}
{{- define "portrait.openshift" -}}
{{- or (eq .Values.platform "openshift") (and (eq .Values.platform "auto") (.Capabilities.APIVersions.Has "security.openshift.io/v1")) -}}
{{- end }}

{{/* Security of a pod: (dict "root" $ "values" merged values). Portrait does not call the API server. */}}
{{- define "portrait.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- $context := .values.podSecurityContext | default dict -}}
{{- if eq (include "portrait.openshift" .root) "true" -}}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" -}}
{{- end }}
{{- with $context }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Security of a container: merged values. */}}
{{- define "portrait.containerSecurity" -}}
{{- with .containerSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where and how a pod runs: merged values. */}}
{{- define "portrait.placement" -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "hostAliases" "dnsConfig" }}
{{- with get $ $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- range $key := list "priorityClassName" "schedulerName" "runtimeClassName" }}
{{- with get $ $key }}
{{ $key }}: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* IP families of a Service: its values. */}}
{{- define "portrait.ipFamilies" -}}
{{- with .ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .ipFamilies }}
ipFamilies: {{ toJson . }}
{{- end }}
{{- end }}

{{/* Registry credentials of a pod. */}}
{{- define "portrait.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}
