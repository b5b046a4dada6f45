{{- define "rotator.name" -}}
{{ .Values.nameOverride | default .Release.Name }}
{{- end }}

{{- define "rotator.namespace" -}}
{{ .Values.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{- define "rotator.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "rotator.name" .) }}
{{- end }}

{{- define "rotator.selector" -}}
app.kubernetes.io/name: rotator
app.kubernetes.io/instance: {{ include "rotator.name" . }}
{{- end }}

{{- define "rotator.labels" -}}
{{ include "rotator.selector" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "rotator.metadata" -}}
name: {{ include "rotator.name" . }}
namespace: {{ include "rotator.namespace" . }}
labels:
  {{- include "rotator.labels" . | nindent 2 }}
{{- end }}

{{- define "rotator.roleMetadata" -}}
name: {{ include "rotator.name" .root }}
{{- if ne .place "*" }}
namespace: {{ .place }}
{{- end }}
{{- with .root.Values.commonLabels }}
labels:
  {{- toYaml . | nindent 2 }}
{{- end }}
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
