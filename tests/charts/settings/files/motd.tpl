{{ .Values.motd }} ({{ .Release.Namespace }})
