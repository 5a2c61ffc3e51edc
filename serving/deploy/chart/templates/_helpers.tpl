{{- define "croupier.name" -}}
{{- printf "%s-%s" .Release.Name (.Values.app | replace "_" "-") | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "croupier.selector" -}}
app.kubernetes.io/name: croupier
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: serving
{{- end }}

{{- define "croupier.turnSelector" -}}
app.kubernetes.io/name: croupier
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: turn
{{- end }}

{{- define "croupier.raySelector" -}}
app.kubernetes.io/name: croupier
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: ray
{{- end }}

{{/* Ray runs what it is sent: who sends, and who computes, show the token */}}
{{- define "croupier.rayToken" -}}
- { name: RAY_AUTH_MODE, value: token }
{{ include "croupier.fromSecret" (dict "secret" .Values.secret.name "key" "RAY_AUTH_TOKEN") }}
{{- end }}

{{- define "croupier.ray" -}}
{{- printf "%s-ray" (include "croupier.name" .) -}}
{{- end }}

{{- define "croupier.labels" -}}
app.kubernetes.io/name: croupier
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
croupier/app: {{ .Values.app }}
{{- end }}

{{- define "croupier.image" -}}
{{- printf "%s@%s" .repository .digest -}}
{{- end }}

{{/* who a container is, and what it may do: nobody, and nothing */}}
{{- define "croupier.closed" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "croupier.pod" -}}
runAsNonRoot: true
runAsUser: 50000
runAsGroup: 0
fsGroup: 50000
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* one variable from the chart's secret */}}
{{- define "croupier.fromSecret" -}}
- name: {{ .key }}
  valueFrom: { secretKeyRef: { name: {{ .secret }}, key: {{ .key }} } }
{{- end }}

{{/* what every process of croupier is told: which app, where its store is, by which key units are named */}}
{{- define "croupier.store" -}}
- { name: HOME, value: /tmp }
- { name: CROUPIER_VAR, value: /croupier/var }
- { name: CROUPIER_APP, value: {{ .Values.app | quote }} }
- { name: CROUPIER_STORE, value: {{ .Values.store.url | quote }} }
- { name: CROUPIER_S3_ENDPOINT, value: {{ .Values.store.endpoint | quote }} }
- { name: AWS_DEFAULT_REGION, value: {{ .Values.store.region | quote }} }
{{ include "croupier.fromSecret" (dict "secret" .Values.secret.name "key" "CROUPIER_UNIT_KEY") }}
{{- if .Values.secret.storeKeys }}
{{ include "croupier.fromSecret" (dict "secret" .Values.secret.name "key" "AWS_ACCESS_KEY_ID") }}
{{ include "croupier.fromSecret" (dict "secret" .Values.secret.name "key" "AWS_SECRET_ACCESS_KEY") }}
{{- end }}
{{- if .Values.secret.redis }}
{{ include "croupier.fromSecret" (dict "secret" .Values.secret.name "key" "CROUPIER_REDIS") }}
{{- end }}
{{- if .Values.verifyKeys }}
- { name: CROUPIER_VERIFY_KEY, value: /croupier/verify/release.pub }
{{- end }}
{{- end }}

{{/* what the processes of a serving host are told besides: their name, their server, its door */}}
{{- define "croupier.serving" -}}
{{ include "croupier.store" . }}
- name: CROUPIER_HOST
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- { name: CROUPIER_TRITON, value: "127.0.0.1:8001" }
- { name: CROUPIER_SPOOL_MAX_BYTES, value: {{ .Values.volume.spoolMaxBytes | int64 | quote }} }
{{ include "croupier.fromSecret" (dict "secret" .Values.secret.name "key" "CROUPIER_TOKEN") }}
- { name: CROUPIER_TLS_CERT, value: /croupier/tls/{{ .Values.tls.certificate }} }
- { name: CROUPIER_TLS_KEY, value: /croupier/tls/{{ .Values.tls.key }} }
- { name: CROUPIER_TLS_ROOT, value: /croupier/tls/{{ .Values.tls.root }} }
- { name: CROUPIER_TLS_NAME, value: {{ .Values.tls.name | quote }} }
{{- if .Values.tls.mutual }}
- { name: CROUPIER_TLS_CLIENTS, value: /croupier/tls/{{ .Values.tls.root }} }
{{- end }}
{{- range $name, $value := .Values.triton.extraEnv }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end }}

{{- define "croupier.mounts" -}}
- { name: home, mountPath: /croupier/var }
- { name: tmp, mountPath: /tmp }
- { name: tls, mountPath: /croupier/tls, readOnly: true }
{{- if .Values.verifyKeys }}
- { name: verify, mountPath: /croupier/verify, readOnly: true }
{{- end }}
{{- end }}

{{/* a sidecar: an init container that goes on beside the server, and is ended after it */}}
{{- define "croupier.sidecar" -}}
- name: {{ .name }}
  image: {{ include "croupier.image" .root.Values.image }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  restartPolicy: Always
  command: {{ .command | toJson }}
  env: {{- include "croupier.serving" .root | nindent 4 }}
  {{- with .ports }}
  ports: {{- toYaml . | nindent 4 }}
  {{- end }}
  resources: {{- toYaml .resources | nindent 4 }}
  securityContext: {{- include "croupier.closed" .root | nindent 4 }}
  volumeMounts: {{- include "croupier.mounts" .root | nindent 4 }}
{{- end }}

{{/* what a turn of the loop is given, and what it may do */}}
{{- define "croupier.turning" -}}
env:
  {{- include "croupier.store" . | nindent 2 }}
  {{- if .Values.turn.signingKey }}
  - { name: CROUPIER_SIGNING_KEY, value: /croupier/signing/release.key }
  {{- end }}
  - { name: GX_ANALYTICS_ENABLED, value: "false" }
  {{- if .Values.ray.enabled }}
  - { name: CROUPIER_ENGINE, value: ray }
  - { name: CROUPIER_RAY, value: "ray://{{ include "croupier.ray" . }}-head-svc:10001" }
  {{- include "croupier.rayToken" . | nindent 2 }}
  {{- end }}
resources: {{- toYaml .Values.turn.resources | nindent 2 }}
securityContext: {{- include "croupier.closed" . | nindent 2 }}
volumeMounts:
  - { name: home, mountPath: /croupier/var }
  - { name: tmp, mountPath: /tmp }
  {{- if .Values.verifyKeys }}
  - { name: verify, mountPath: /croupier/verify, readOnly: true }
  {{- end }}
  {{- if .Values.turn.signingKey }}
  - { name: signing, mountPath: /croupier/signing, readOnly: true }
  {{- end }}
{{- end }}

{{/* the declaration, copied: a file that is mounted into `home` would leave its folder to root */}}
{{- define "croupier.declare" -}}
- name: declare
  image: {{ include "croupier.image" .image }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: [sh, -ec, 'mkdir -p "$CROUPIER_VAR/$CROUPIER_APP" && cp -L /croupier/declared/{{ .files }} "$CROUPIER_VAR/$CROUPIER_APP/"']
  env:
    - { name: CROUPIER_VAR, value: /croupier/var }
    - { name: CROUPIER_APP, value: {{ .root.Values.app | quote }} }
  resources: { requests: { cpu: 10m, memory: 32Mi }, limits: { memory: 64Mi } }
  securityContext: {{- include "croupier.closed" .root | nindent 4 }}
  volumeMounts:
    - { name: home, mountPath: /croupier/var }
    - { name: declared, mountPath: /croupier/declared, readOnly: true }
{{- end }}

{{/* a pod of the Ray cluster; the operator writes its command. The probes ask Ray itself: the operator's own need its dashboard */}}
{{- define "croupier.rayPod" -}}
metadata:
  labels:
    {{- include "croupier.labels" .root | nindent 4 }}
    app.kubernetes.io/component: ray
spec:
  serviceAccountName: {{ include "croupier.name" .root }}
  automountServiceAccountToken: false
  securityContext: {{- include "croupier.pod" .root | nindent 4 }}
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with .root.Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .name }}
      image: {{ include "croupier.image" .root.Values.turn.image }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      env:
        {{- include "croupier.store" .root | nindent 8 }}
        {{- include "croupier.rayToken" .root | nindent 8 }}
        - { name: GX_ANALYTICS_ENABLED, value: "false" }
      {{- if eq .name "ray-head" }}
      ports:
        - { name: gcs-server, containerPort: 6379 }
        - { name: client, containerPort: 10001 }
      {{- end }}
      {{- range list "readinessProbe" "livenessProbe" }}
      {{ . }}:
        exec: { command: [sh, -c, 'ray health-check --address "${FQ_RAY_IP:-127.0.0.1}:6379"'] }
        initialDelaySeconds: 10
        periodSeconds: 10
        timeoutSeconds: 10
        failureThreshold: 6
      {{- end }}
      resources: {{- toYaml .resources | nindent 8 }}
      securityContext: {{- include "croupier.closed" .root | nindent 8 }}
      volumeMounts:
        - { name: home, mountPath: /croupier/var }
        - { name: tmp, mountPath: /tmp }
        - { name: shared-memory, mountPath: /dev/shm }
        {{- if .root.Values.verifyKeys }}
        - { name: verify, mountPath: /croupier/verify, readOnly: true }
        {{- end }}
  volumes: # nothing here outlives a pod: a job reads the store, and its result is written there
    - name: home
      emptyDir: { sizeLimit: {{ .root.Values.turn.scratch }} }
    - name: tmp
      emptyDir: { sizeLimit: {{ .root.Values.turn.scratch }} }
    - name: shared-memory
      emptyDir: { medium: Memory, sizeLimit: {{ .root.Values.ray.sharedMemory }} }
    {{- with .root.Values.verifyKeys }}
    - name: verify
      configMap: { name: {{ . }} }
    {{- end }}
{{- end }}
