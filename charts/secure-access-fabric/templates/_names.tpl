{{/* Names are fixed: one operator serves one namespace, so a second release in it is a mistake that Helm reports. */}}
{{- define "fabric.labels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/part-of: secure-access-fabric
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{- define "fabric.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{- define "fabric.image" -}}
{{ .root.Values.image.registry }}/{{ .name }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{- define "fabric.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Cluster-scoped objects of two installs must not meet. */}}
{{- define "fabric.clusterScopedName" -}}
fabric-operator-{{ .Release.Namespace }}
{{- end -}}

{{/* What the user of every unprivileged container is in the images. */}}
{{- define "fabric.uid" -}}65532{{- end -}}

{{- define "fabric.unprivileged" -}}
runAsNonRoot: true
runAsUser: {{ include "fabric.uid" . }}
runAsGroup: {{ include "fabric.uid" . }}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* "true" when the ledger is the one in the operator's pod. */}}
{{- define "fabric.embedded" -}}
{{- if not .Values.database.urlSecret.name }}true{{- end }}
{{- end -}}

{{/* "true" when an API server answers: `helm template` and GitOps tools render without one. */}}
{{- define "fabric.live" -}}
{{- if lookup "v1" "Namespace" "" "kube-system" }}true{{- end }}
{{- end -}}

{{/*
"true" unless the kinds are missing on a live cluster. Helm resolves every kind before it creates the first object, so that on a
first install the Cluster has to come after its CustomResourceDefinition, with the next `helm upgrade`.
*/}}
{{- define "fabric.kindsKnown" -}}
{{- if or (not (include "fabric.live" .)) (.Capabilities.APIVersions.Has "fabric.saf.dev/v1alpha1/Cluster") }}true{{- end }}
{{- end -}}

{{- define "fabric.check" -}}
{{- if and (gt (int .Values.operator.replicas) 1) (include "fabric.embedded" .) }}
{{- fail (printf "operator.replicas is %d, and the embedded PostgreSQL serves one operator: set database.urlSecret.name to a Secret with the URL of a PostgreSQL of yours, or operator.replicas to 1" (int .Values.operator.replicas)) }}
{{- end }}
{{- if and .Values.operator.enabled .Values.agent.trust.pin }}
{{- fail "agent.trust.pin is set, and the operator of this release writes ConfigMap fabric-trust itself: leave it empty, or set operator.enabled to false" }}
{{- end }}
{{- if and (not .Values.operator.enabled) .Values.agent.enabled (or (not .Values.agent.server) (not .Values.agent.trust.pin) (not .Values.agent.trust.ca)) }}
{{- fail "operator.enabled is false: the agents need agent.server, agent.trust.pin and agent.trust.ca of an operator elsewhere (its ConfigMap fabric-trust has pin and ca.crt)" }}
{{- end }}
{{- if and .Values.cluster.create (not .Values.cluster.spec) }}
{{- fail "cluster.create is true and cluster.spec is empty: give it at least trustDomain, addressPools and endpoints (kubectl explain cluster.spec)" }}
{{- end }}
{{- end -}}

{{- define "fabric.agentServer" -}}
{{- .Values.agent.server | default (printf "https://fabric-operator.%s.svc:8443" .Release.Namespace) -}}
{{- end -}}

{{- define "fabric.operatorConfig" -}}
{{- $ns := .Release.Namespace -}}
{{- $advertise := concat (list "fabric-operator" (printf "fabric-operator.%s" $ns) (printf "fabric-operator.%s.svc" $ns)) .Values.operator.advertise -}}
{{- if .Values.operator.service.clusterIP }}{{ $advertise = append $advertise .Values.operator.service.clusterIP }}{{ end -}}
{{- $config := dict
  "namespace" $ns
  "dataDir" "/var/lib/fabric/ledger"
  "enrolment" (dict "listen" "0.0.0.0:8443" "advertise" ($advertise | uniq))
  "service" (dict "name" "fabric-operator" "controlPort" 7443)
  "engineSocket" "/run/fabric/engine.sock"
  "controlKeyFile" "/run/fabric/control.key"
  "telemetry" (dict "listen" "0.0.0.0:8080")
  "logLevel" .Values.operator.logLevel -}}
{{- if not (include "fabric.embedded" .) }}{{ $_ := set $config "database" (dict "urlFile" "/etc/fabric-database/url") }}{{ end -}}
{{- $config | toPrettyJson -}}
{{- end -}}

{{- define "fabric.operatorEngineConfig" -}}
{{- dict
  "socket" "/run/fabric/engine.sock"
  "allowedUids" (list (include "fabric.uid" . | int))
  "keyFile" "/run/fabric/control.key"
  "stateDir" "/run/fabric"
  "listen" (list "0.0.0.0:7443")
  "tunnel" nil
  "realTime" false | toPrettyJson -}}
{{- end -}}

{{- define "fabric.agentConfig" -}}
{{- $config := dict
  "stateDir" (printf "%s/agent" .Values.agent.stateDir)
  "engineSocket" "/run/fabric/engine.sock"
  "apiSocket" "/run/fabric/agent.sock"
  "join" (dict
    "server" (include "fabric.agentServer" .)
    "serviceAccountTokenFile" "/var/run/secrets/fabric/token"
    "pinFile" "/etc/fabric-trust/pin"
    "requestedRoles" .Values.agent.requestedRoles)
  "listenPort" (int .Values.agent.port)
  "advertise" .Values.agent.advertise
  "candidateInterfacesExclude" .Values.agent.candidateInterfacesExclude
  "names" .Values.agent.names
  "telemetry" (dict "listen" (printf "0.0.0.0:%d" (int .Values.agent.telemetryPort)))
  "logLevel" .Values.agent.logLevel -}}
{{- with .Values.agent.area }}{{ $_ := set $config "area" . }}{{ end -}}
{{- $config | toPrettyJson -}}
{{- end -}}

{{- define "fabric.agentEngineConfig" -}}
{{- $listen := list -}}
{{- range .Values.agent.listenAddresses }}
{{- $listen = append $listen (printf (ternary "[%s]:%d" "%s:%d" (contains ":" .)) . (int $.Values.agent.port)) -}}
{{- end -}}
{{- dict
  "socket" "/run/fabric/engine.sock"
  "allowedUids" (list (include "fabric.uid" . | int))
  "keyFile" (printf "%s/agent/identity/node.key" .Values.agent.stateDir)
  "stateDir" (printf "%s/engine" .Values.agent.stateDir)
  "listen" $listen
  "tunnel" (dict "interface" .Values.agent.tunnel.interface "prefixes" .Values.agent.tunnel.prefixes "maxMtu" (int .Values.agent.tunnel.maxMtu))
  "realTime" .Values.agent.engine.realTime | toPrettyJson -}}
{{- end -}}
