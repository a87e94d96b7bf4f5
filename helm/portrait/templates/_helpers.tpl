{{/*
What more than one template needs: names, labels, the merged values of a role, the configuration as TOML, intervals in
milliseconds. Nothing here makes an object.
*/}}

{{/* The roles, in the order in which their objects are written. */}}
{{- define "portrait.roles" -}}
ingest feature model query
{{- end }}

{{/* The ports that every role listens on. */}}
{{- define "portrait.grpcPort" -}}50051{{- end }}
{{- define "portrait.httpPort" -}}8080{{- end }}

{{/* With what every object's name begins. The longest end is "-feature-headless", and a name has 63 letters. */}}
{{- define "portrait.fullname" -}}
{{- $chart := default .Chart.Name .Values.nameOverride -}}
{{- $both := ternary .Release.Name (printf "%s-%s" .Release.Name $chart) (contains $chart .Release.Name) -}}
{{- default $both .Values.fullnameOverride | trunc 46 | trimSuffix "-" -}}
{{- end }}

{{/* By which the pods of a release are found: (dict "root" $ "component" "ingest"), or without a component all of them. */}}
{{- define "portrait.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{/* The labels of a pod. No version is in them: a pod is replaced when something of it has changed, not when a number has. */}}
{{- define "portrait.podLabels" -}}
{{ include "portrait.selectorLabels" . }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The labels of an object: (dict "root" $ "component" "ingest"). */}}
{{- define "portrait.labels" -}}
{{ include "portrait.podLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The metadata of an object: (dict "root" $ "component" "ingest" "name" "-ingest" "labels" dict "annotations" dict). */}}
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

{{/* The values of one role, as YAML: (dict "root" $ "role" "ingest"). */}}
{{- define "portrait.role" -}}
{{- mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (index .root.Values.roles .role | default dict)) | toYaml }}
{{- end }}

{{/* The image by the role's tag (`tag`), by digest, or by its own tag. */}}
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

{{/* The Secret with the address of Redis, and its key. */}}
{{- define "portrait.redisSecret" -}}
{{- default (printf "%s-redis" (include "portrait.fullname" .)) .Values.redis.existingSecret -}}
{{- end }}
{{- define "portrait.redisSecretKey" -}}
{{- ternary .Values.redis.existingSecretKey "url" (ne .Values.redis.existingSecret "") -}}
{{- end }}

{{/* The address that the chart itself writes down, if it does. */}}
{{- define "portrait.redisUrl" -}}
{{- if .Values.redis.development.enabled -}}
redis://{{ include "portrait.fullname" . }}-redis:6379
{{- else -}}
{{ .Values.redis.url }}
{{- end -}}
{{- end }}

{{/* How roles are called, with TLS or without. */}}
{{- define "portrait.scheme" -}}
{{- ternary "https" "http" (ne .Values.tls.existingSecret "") -}}
{{- end }}

{{/*
What the pods are secured with, as YAML: each file with the Secret it is in, its key there, and where it is mounted below
/etc/portrait. A Secret that is mounted whole in a folder of its own is swapped in one step when it changes.
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

{{/* The same as volumes, and as mounts: a list of what portrait.secured has. */}}
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

{{/* The whole configuration, as YAML: what the values say, and the keys that are the chart's. */}}
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

{{/* A configuration as TOML. JSON's texts, numbers and lists are TOML's as well; Helm's own toToml writes 16 as 16.0. */}}
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

{{/* An interval of the configuration, as 5s, in milliseconds. */}}
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

{{/* What the container of a pod is fetched with. */}}
{{- define "portrait.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}
