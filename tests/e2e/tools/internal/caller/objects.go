package caller

import (
	"encoding/json"
	"fmt"
	"slices"

	"sigs.k8s.io/yaml"
)

// Objects reads manifests as values: each as JSON with sorted keys, whether the server sent YAML or JSON.
func Objects(manifests []string) ([]string, error) {
	objects := make([]string, 0, len(manifests))
	for i, text := range manifests {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(text), &object); err != nil {
			return nil, fmt.Errorf("manifest %d is not YAML: %w", i, err)
		}
		if object == nil {
			continue
		}
		json, err := json.Marshal(object)
		if err != nil {
			return nil, err
		}
		objects = append(objects, string(json))
	}
	return objects, nil
}

// Same demands the same objects in the same order. The error names what differs, never a value.
func Same(wanted, got []string) error {
	if slices.Equal(wanted, got) {
		return nil
	}
	if len(wanted) != len(got) {
		return fmt.Errorf("%d objects wanted, %d came", len(wanted), len(got))
	}
	for i := range wanted {
		if wanted[i] != got[i] {
			return fmt.Errorf("object %d differs: %s wanted, %s came", i, title(wanted[i]), title(got[i]))
		}
	}
	return nil
}

func title(object string) string {
	var head struct {
		Kind     string
		Metadata struct{ Name string }
	}
	_ = json.Unmarshal([]byte(object), &head)
	return head.Kind + "/" + head.Metadata.Name
}
