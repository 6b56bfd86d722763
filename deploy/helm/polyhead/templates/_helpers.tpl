{{/* Names, of which NAME-gateway-metrics is the longest: 63 characters may be. */}}
{{- define "polyhead.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 47 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 47 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "polyhead.server" -}}{{ include "polyhead.fullname" . }}-server{{- end -}}
{{- define "polyhead.gateway" -}}{{ include "polyhead.fullname" . }}-gateway{{- end -}}

{{- define "polyhead.serverHost" -}}
{{ include "polyhead.server" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end -}}

{{- define "polyhead.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "polyhead.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Labels; (list $ "server") or (list $ "gateway"). */}}
{{- define "polyhead.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride | trunc 63 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* The same and more; further labels may be the list's third. */}}
{{- define "polyhead.labels" -}}
{{- $root := index . 0 -}}
{{ include "polyhead.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- range slice . 2 }}
{{- with . }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A pod's metadata; (list $ .Values.server "server"). New secrets start new pods. */}}
{{- define "polyhead.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
labels: {{- include "polyhead.labels" (list $root (index . 2) $part.podLabels) | nindent 2 }}
annotations:
  checksum/secrets: {{ include (print $root.Template.BasePath "/secrets.yaml") $root | sha256sum }}
  {{- with $part.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* An image; (list $ .Values.server.image). */}}
{{- define "polyhead.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default $root.Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{/* Settings as environment variables; (dict "prefix" "POLYHEAD_" "settings" ...). Whole numbers
     come from YAML as floats, and must not be written as 1e+06. */}}
{{- define "polyhead.settings" -}}
{{- $prefix := .prefix -}}
{{- range $name, $value := .settings }}
- name: {{ $prefix }}{{ upper $name }}
  {{- if kindIs "slice" $value }}
  value: {{ join "," $value | quote }}
  {{- else if and (kindIs "float64" $value) (eq (floor $value) $value) }}
  value: {{ int64 $value | quote }}
  {{- else }}
  value: {{ toString $value | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* What holds for every pod; (list $ .Values.server "server"). */}}
{{- define "polyhead.pod" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- $component := index . 2 -}}
serviceAccountName: {{ include "polyhead.serviceAccount" $root }}
automountServiceAccountToken: false
{{- /* POLYHEAD_PORT of a service link would be taken for a setting. */}}
enableServiceLinks: false
terminationGracePeriodSeconds: {{ add (ceil $part.drainSeconds) $part.preStopSeconds 10 }}
securityContext:
  {{- include "polyhead.podSecurity" . | nindent 2 }}
  fsGroupChangePolicy: OnRootMismatch
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $part.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or $part.topologySpread.hosts $part.topologySpread.zones }}
topologySpreadConstraints:
  {{- range $key, $unsatisfiable := dict "kubernetes.io/hostname" $part.topologySpread.hosts "topology.kubernetes.io/zone" $part.topologySpread.zones }}
  {{- if $unsatisfiable }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $unsatisfiable }}
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels: {{- include "polyhead.selector" (list $root $component) | nindent 8 }}
  {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "polyhead.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "polyhead.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
privileged: false
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Secrets: what is given, else what the chart makes. */}}
{{- define "polyhead.tokensSecret" -}}
{{- if .Values.auth.existingSecret }}{{ .Values.auth.existingSecret }}
{{- else if .Values.auth.tokens }}{{ include "polyhead.fullname" . }}-tokens
{{- end }}
{{- end -}}

{{- define "polyhead.tlsSecret" -}}
{{- default (printf "%s-tls" (include "polyhead.server" .)) .Values.tls.existingSecret -}}
{{- end -}}

{{- define "polyhead.gatewayTlsSecret" -}}
{{- default (printf "%s-tls" (include "polyhead.gateway" .)) .Values.gateway.tls.existingSecret -}}
{{- end -}}

{{- define "polyhead.apiKeysSecret" -}}
{{- if .Values.gateway.apiKeys.existingSecret }}{{ .Values.gateway.apiKeys.existingSecret }}
{{- else if .Values.gateway.apiKeys.keys }}{{ include "polyhead.gateway" . }}-api-keys
{{- end }}
{{- end -}}

{{- define "polyhead.jwtSecret" -}}
{{- if .Values.gateway.jwt.existingSecret }}{{ .Values.gateway.jwt.existingSecret }}
{{- else if .Values.gateway.jwt.jwks }}{{ include "polyhead.gateway" . }}-jwks
{{- end }}
{{- end -}}

{{/* A volume of a secret; (list "name" "secret"), and files of it where not all are to be there. */}}
{{- define "polyhead.secretVolume" -}}
- name: {{ index . 0 }}
  secret:
    secretName: {{ index . 1 }}
    defaultMode: 0440
    {{- with slice . 2 }}
    items:
      {{- range . }}
      - { key: {{ . }}, path: {{ . }} }
      {{- end }}
    {{- end }}
{{- end -}}

{{/* A gRPC probe; Kubernetes' own knows no TLS. (list $ .Values.server.probes.readiness) */}}
{{- define "polyhead.probe" -}}
{{- $root := index . 0 -}}
{{- $probe := index . 1 -}}
{{- if $root.Values.tls.enabled -}}
exec:
  command: [polyhead-server, check, --service, {{ $probe.service | default "" | quote }}]
{{- else -}}
grpc:
  port: 50051
  service: {{ $probe.service | default "" | quote }}
{{- end }}
periodSeconds: {{ $probe.periodSeconds }}
timeoutSeconds: {{ $probe.timeoutSeconds }}
failureThreshold: {{ $probe.failureThreshold }}
{{- end -}}
