package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/argoproj/argo-cd/gitops-engine/v3/pkg/utils/kube"
	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// terminal renders the case with `generate APP.yaml` from the encrypted check-out: as a plugin's Application, and as the native
// one that somebody has not migrated yet.
func (c *Case) terminal(wanted []string) (string, error) {
	sides := []string{"plugin", "helm"}
	if c.Terminal != nil {
		sides = *c.Terminal
	}
	if *binary == "" {
		return "", nil
	}
	told := ""
	for _, side := range sides {
		source := c.pluginSource()
		if side == "helm" {
			source = c.nativeSource()
		}
		got, err := c.generateLocally(source)
		if err != nil {
			return "", fmt.Errorf("in a terminal, %s: %w", side, err)
		}
		if err := compare("generate "+side, wanted, got); err != nil {
			return "", err
		}
		told += ", terminal " + side
	}
	return told, nil
}

func (c *Case) generateLocally(source *v1alpha1.ApplicationSource) ([]string, error) {
	application, err := yaml.Marshal(map[string]any{
		"apiVersion": "argoproj.io/v1alpha1",
		"kind":       "Application",
		"metadata":   metav1.ObjectMeta{Name: c.Instance, Namespace: "argocd"},
		"spec": v1alpha1.ApplicationSpec{
			Project:     "default",
			Destination: v1alpha1.ApplicationDestination{Server: "https://kubernetes.default.svc", Namespace: c.Namespace},
			Source:      source,
		},
	})
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp("", "application-*.yaml")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	if _, err := file.Write(application); err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	arguments := []string{"generate", file.Name(), "--repo", *checkout, "--kube-version", c.KubeVersion}
	for _, api := range c.APIVersions {
		arguments = append(arguments, "--api-versions", api)
	}
	var stdout, stderr bytes.Buffer
	command := exec.Command(*binary, arguments...)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return objects(stdout.Bytes())
}

// objects does with a text of many documents what repo-server does with helm's.
func objects(text []byte) ([]string, error) {
	documents, err := kube.SplitYAML(text)
	if err != nil {
		return nil, err
	}
	var all []string
	add := func(object *unstructured.Unstructured) error {
		text, err := json.Marshal(object.Object)
		all = append(all, string(text))
		return err
	}
	for _, document := range documents {
		items, held := document.Object["items"]
		switch {
		case strings.HasSuffix(document.GetKind(), "List") && held && items == nil:
			// repo-server drops a list of nothing.
		case document.IsList():
			err = document.EachListItem(func(item runtime.Object) error { return add(item.(*unstructured.Unstructured)) })
		default:
			err = add(document)
		}
		if err != nil {
			return nil, err
		}
	}
	return slices.Clip(all), nil
}
