{{- define "common.secret" -}}
{{- $ctx := index . 0 -}}
{{- $name := index . 1 -}}
{{- $values := index . 2 -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ $ctx.Release.Name }}-{{ $name }}
  labels: {{- toYaml (merge (dict "app.kubernetes.io/name" $ctx.Chart.Name) ($ctx.Values.common).labels) | nindent 4 }}
data:
  {{- range $key, $value := $values }}
  {{ $key }}: {{ tpl (toString $value) $ctx | b64enc }}
  {{- end }}
{{- end -}}
