{{- /* What the Pods of both modes have in common, but for their container. */ -}}
{{- define "rotator.pod" -}}
serviceAccountName: {{ include "rotator.serviceAccount" . }}
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
      name: {{ include "rotator.name" . }}
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
  {{- range .Values.secrets }}
  - name: secret-{{ . }}
    secret:
      secretName: {{ . }}
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
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{- define "rotator.container" -}}
image: {{ include "rotator.image" . }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
env:
  - name: ROTATOR_LOG_LEVEL
    value: {{ .Values.logLevel }}
  - name: ROTATOR_LOG_FORMAT
    value: {{ .Values.logFormat }}
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
  {{- range .Values.secrets }}
  - name: secret-{{ . }}
    mountPath: /var/run/secrets/{{ . }}
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
