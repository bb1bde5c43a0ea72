{{ define "legacy.name" }}{{ .Release.Name | trunc 52 }}-cron{{ end }}
