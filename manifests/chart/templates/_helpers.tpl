{{- /* Each takes (dict "root" $ "component" "launcher"), but for the first. */ -}}

{{- define "slipway.labels" -}}
app.kubernetes.io/name: slipway
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "slipway.componentLabels" -}}
{{ include "slipway.labels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "slipway.selector" -}}
app.kubernetes.io/name: slipway
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "slipway.meta" -}}
name: slipway-{{ .component }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "slipway.componentLabels" . | nindent 2 }}
{{- end }}

{{- define "slipway.clusterMeta" -}}
name: slipway-{{ .component }}{{ .suffix }}
labels:
  {{- include "slipway.componentLabels" . | nindent 2 }}
{{- end }}

{{- define "slipway.subjects" -}}
subjects:
- {kind: ServiceAccount, name: slipway-{{ .component }}, namespace: {{ .root.Release.Namespace }}}
{{- end }}

{{- define "slipway.image" -}}
{{- $image := (index .root.Values .component).image -}}
{{- $name := printf "%s/%s" .root.Values.image.registry $image.repository -}}
{{- if $image.digest }}{{ $name }}@{{ $image.digest }}{{ else }}{{ $name }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "slipway.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "slipway.meta" . | nindent 2 }}
  {{- $annotations := deepCopy (index .root.Values .component).serviceAccount.annotations }}
  {{- if and (eq .component "launcher") .root.Values.aws.roleARN }}
  {{- $_ := set $annotations "eks.amazonaws.com/role-arn" .root.Values.aws.roleARN }}
  {{- end }}
  {{- with $annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
# The daemon's pods ask for it.
automountServiceAccountToken: false
{{- end }}

{{- /* What the pod's template says beside its container. */ -}}
{{- define "slipway.pod" -}}
serviceAccountName: slipway-{{ .component }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 0 }}
{{- end }}
automountServiceAccountToken: true
enableServiceLinks: false
priorityClassName: {{ .root.Values.pods.priorityClassName }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.pods.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.pods.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with .root.Values.pods.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: DoNotSchedule
  labelSelector:
    matchLabels: {{- include "slipway.selector" . | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "slipway.selector" . | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}

{{- /* What the container says beside its arguments, ports and files. */ -}}
{{- define "slipway.container" -}}
name: slipway-{{ .component }}
image: {{ include "slipway.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources: {{- toYaml (index .root.Values .component).resources | nindent 2 }}
{{- if dig "limits" "memory" "" (index .root.Values .component).resources }}
env:
- name: GOMEMLIMIT # the collector works harder before the limit is reached
  valueFrom: {resourceFieldRef: {resource: limits.memory}}
{{- end }}
{{- end }}

{{- define "slipway.podMeta" -}}
labels:
  {{- include "slipway.selector" . | nindent 2 }}
  {{- with .root.Values.pods.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  # A change of the configuration rolls the pods; certificates are read again as they are.
  checksum/config: {{ .checksum }}
  {{- with .root.Values.pods.annotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "slipway.pdb" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "slipway.meta" . | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "slipway.selector" . | nindent 6 }}
{{- end }}

{{- define "slipway.launcherHost" -}}
slipway-launcher.{{ .Release.Namespace }}.svc
{{- end }}

{{- define "slipway.roleBinding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "slipway.meta" . | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: slipway-{{ .component }}
{{ include "slipway.subjects" . }}
{{- end }}
