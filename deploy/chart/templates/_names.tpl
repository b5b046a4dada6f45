{{- /* As everywhere: the release's name, with the chart's (or its alias in another chart) unless that stands in it. */ -}}
{{- define "rotator.name" -}}
{{- $both := contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) }}
{{- .Values.nameOverride | default ($both | trunc 52 | trimSuffix "-") }}
{{- end }}

{{- define "rotator.namespace" -}}
{{ .Values.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{- define "rotator.serviceAccount" -}}
{{- if not (or .Values.serviceAccount.create .Values.serviceAccount.name) }}
{{- fail "serviceAccount: create is false; name the one that is there" }}
{{- end }}
{{- .Values.serviceAccount.name | default (include "rotator.name" .) }}
{{- end }}

{{- define "rotator.selector" -}}
app.kubernetes.io/name: rotator
app.kubernetes.io/instance: {{ include "rotator.name" . | quote }}
{{- end }}

{{- /* Of one object: those that all have, and .more of its own, which win. */ -}}
{{- define "rotator.labelsAnd" -}}
{{ merge (include "rotator.selector" .root | fromYaml) (.more | default dict) (.root.Values.commonLabels | default dict) | toYaml }}
{{- end }}

{{- define "rotator.labels" -}}
{{ include "rotator.labelsAnd" (dict "root" . "more" dict) }}
{{- end }}

{{- define "rotator.podLabels" -}}
{{ include "rotator.labelsAnd" (dict "root" . "more" .Values.podLabels) }}
{{- end }}

{{- define "rotator.metadataAnd" -}}
name: {{ include "rotator.name" .root | quote }}
namespace: {{ include "rotator.namespace" .root | quote }}
labels:
  {{- include "rotator.labelsAnd" . | nindent 2 }}
{{- end }}

{{- define "rotator.metadata" -}}
{{ include "rotator.metadataAnd" (dict "root" . "more" dict) }}
{{- end }}

{{- /* Of roles and bindings: no rotator of another namespace has it. */ -}}
{{- define "rotator.role" -}}
{{- $name := include "rotator.name" . }}
{{- $home := include "rotator.namespace" . }}
{{- if ne $name $home }}{{ $home }}-{{ end }}{{ $name }}
{{- end }}

{{- define "rotator.roleMetadata" -}}
name: {{ include "rotator.role" .root | quote }}
{{- if ne .place "*" }}
namespace: {{ .place | quote }}
{{- end }}
labels:
  {{- include "rotator.labels" .root | nindent 2 }}
{{- end }}

{{- /* Whether a Lease decides who writes: unless the configuration says no. */ -}}
{{- define "rotator.elects" -}}
{{- if ne (toString ((.Values.config.leaderElection | default dict).enabled)) "false" }}yes{{ end }}
{{- end }}

{{- define "rotator.replicas" -}}
{{- if kindIs "invalid" .Values.replicas }}{{ ternary 2 1 (eq (include "rotator.elects" .) "yes") }}{{ else }}{{ .Values.replicas }}{{ end }}
{{- end }}

{{- define "rotator.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}
