{{/*
Shared definitions: names, labels, the merged values of a role, the configuration as TOML, intervals in milliseconds. This file
renders no object.
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
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{/* Labels of a pod, without the version: a new chart version alone must not replace pods. */}}
{{- define "portrait.podLabels" -}}
{{ include "portrait.selectorLabels" . }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of an object: (dict "root" $ "component" "ingest"). */}}
{{- define "portrait.labels" -}}
{{ include "portrait.podLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Metadata of an object: (dict "root" $ "component" "ingest" "name" "-ingest" "labels" dict "annotations" dict). */}}
{{- define "portrait.metadata" -}}
name: {{ include "portrait.fullname" .root }}{{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "portrait.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with mergeOverwrite (deepCopy .root.Values.commonAnnotations) (default dict .annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Merged values of one role, as YAML: (dict "root" $ "role" "ingest"). */}}
{{- define "portrait.role" -}}
{{- mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (index .root.Values.roles .role | default dict)) | toYaml }}
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

{{/* URL of Redis that the chart itself puts into a Secret; empty if redis.existingSecret is set. */}}
{{- define "portrait.redisUrl" -}}
{{- if .Values.redis.development.enabled -}}
redis://{{ include "portrait.fullname" . }}-redis:6379
{{- else -}}
{{ .Values.redis.url }}
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
    secretName: {{ .secret }}
    defaultMode: 0440
    items:
      {{- range $key, $path := .items }}
      - {key: {{ $key }}, path: {{ $path }}}
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
{{- $listen := dict "listen" (printf "0.0.0.0:%s" (include "portrait.grpcPort" .)) "http_listen" (printf "0.0.0.0:%s" (include "portrait.httpPort" .)) -}}
{{- $store := dict "url_file" "/etc/portrait/redis/url" -}}
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

{{/* Security contexts of pods and containers: non-root, read-only root file system, no capabilities. */}}
{{- define "portrait.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- end }}
{{- define "portrait.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Registry credentials of a pod. */}}
{{- define "portrait.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}
