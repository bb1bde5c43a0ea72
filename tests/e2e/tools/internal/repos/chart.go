package repos

import "fmt"

// secrets is the plaintext of one chart's secrets.yaml.
func secrets(n int) string {
	return fmt.Sprintf("password: p4ssw0rd-of-%03d\ntoken: t0ken-%03d-with-some-length-to-it\ndatabase:\n    url: postgres://app:s3cr3t-%03d@db/app\n", n, n, n)
}

// chart is every file but secrets.yaml.
func chart(n int) map[string]string {
	return map[string]string{
		"Chart.yaml":                fmt.Sprintf("apiVersion: v2\nname: app-%03d\nversion: 1.0.0\nappVersion: \"1.0\"\n", n),
		"values.yaml":               "replicas: 2\nimage: registry.example.com/app:1.0\nport: 8080\ndata: \"\"\n",
		"templates/_helpers.tpl":    helpers,
		"templates/configmap.yaml":  configMap(0),
		"templates/deployment.yaml": deployment,
		"templates/secret.yaml":     secret,
		"templates/service.yaml":    service,
	}
}

func configMap(change int) string {
	return fmt.Sprintf(`apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "app.name" . }}
  labels: {{- include "app.labels" . | nindent 4 }}
data:
  change: "%d"
  data: {{ .Values.data | quote }}
  kubeVersion: {{ .Capabilities.KubeVersion.Version | quote }}
`, change)
}

const helpers = `{{- define "app.name" -}}{{ .Release.Name | trunc 63 }}{{- end }}
{{- define "app.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
`

const deployment = `apiVersion: {{ if .Capabilities.APIVersions.Has "apps/v1" }}apps/v1{{ else }}apps/v1beta1{{ end }}
kind: Deployment
metadata:
  name: {{ include "app.name" . }}
  namespace: {{ .Release.Namespace }}
  labels: {{- include "app.labels" . | nindent 4 }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels:
      app.kubernetes.io/instance: {{ .Release.Name }}
  template:
    metadata:
      labels: {{- include "app.labels" . | nindent 8 }}
      annotations:
        checksum/secret: {{ .Values.password | sha256sum }}
    spec:
      containers:
        - name: app
          image: {{ .Values.image }}
          ports: [{containerPort: {{ .Values.port }}}]
          envFrom: [{secretRef: {name: {{ include "app.name" . }}}}]
`

const secret = `apiVersion: v1
kind: Secret
metadata:
  name: {{ include "app.name" . }}
type: Opaque
stringData:
  password: {{ required "secrets.yaml is missing" .Values.password | quote }}
  token: {{ .Values.token | quote }}
  url: {{ .Values.database.url | quote }}
`

const service = `apiVersion: v1
kind: Service
metadata:
  name: {{ include "app.name" . }}
  labels: {{- include "app.labels" . | nindent 4 }}
spec:
  selector:
    app.kubernetes.io/instance: {{ .Release.Name }}
  ports: [{port: 80, targetPort: {{ .Values.port }}}]
`
