{{- /* What the Pods of both modes have in common, but for their container. */ -}}
{{- define "rotator.pod" -}}
serviceAccountName: {{ include "rotator.serviceAccount" . | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
volumes:
  - name: config
    configMap:
      name: {{ include "rotator.name" . | quote }}
  # What automount would bring, and nothing else: a token of an hour, the authority, and the namespace.
  - name: kubernetes
    projected:
      sources:
        - serviceAccountToken:
            path: token
            expirationSeconds: 3600
        - configMap:
            name: kube-root-ca.crt
            items:
              - key: ca.crt
                path: ca.crt
        - downwardAPI:
            items:
              - path: namespace
                fieldRef:
                  fieldPath: metadata.namespace
  - name: tmp
    emptyDir:
      sizeLimit: 16Mi
  {{- with .Values.tokens }}
  - name: tokens
    projected:
      sources:
        {{- range $file, $audience := . }}
        - serviceAccountToken:
            path: {{ $file | quote }}
            audience: {{ $audience | quote }}
            expirationSeconds: 3600
        {{- end }}
  {{- end }}
  {{- range $number, $name := .Values.secrets }}
  - name: secret-{{ $number }}
    secret:
      secretName: {{ $name | quote }}
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "rotator.container" -}}
image: {{ include "rotator.image" . | quote }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- $own := dict }}
{{- range .Values.extraEnv }}
  {{- $_ := set $own .name true }}
{{- end }}
env:
  {{- if not (hasKey $own "ROTATOR_LOG_LEVEL") }}
  - name: ROTATOR_LOG_LEVEL
    value: {{ .Values.logLevel }}
  {{- end }}
  {{- if not (hasKey $own "ROTATOR_LOG_FORMAT") }}
  - name: ROTATOR_LOG_FORMAT
    value: {{ .Values.logFormat }}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: config
    mountPath: /etc/rotator
    readOnly: true
  - name: kubernetes
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
  - name: tmp
    mountPath: /tmp
  {{- if .Values.tokens }}
  - name: tokens
    mountPath: /var/run/tokens
    readOnly: true
  {{- end }}
  {{- range $number, $name := .Values.secrets }}
  - name: secret-{{ $number }}
    mountPath: /var/run/secrets/{{ $name }}
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
