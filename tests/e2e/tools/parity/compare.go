package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// compare demands the same objects in the same order. What differs is told by name and path, not by value.
func compare(side string, wanted, got []string) error {
	if slices.Equal(wanted, got) {
		return nil
	}
	var differences []string
	if len(wanted) != len(got) {
		differences = append(differences, fmt.Sprintf("%d objects natively, %d by %s", len(wanted), len(got), side))
	}
	a, b := byName(wanted), byName(got)
	for _, name := range slices.Sorted(keys(a)) {
		other, ok := b[name]
		if !ok {
			differences = append(differences, "only natively: "+name)
			continue
		}
		if a[name] == other {
			continue
		}
		var x, y any
		_, _ = json.Unmarshal([]byte(a[name]), &x), json.Unmarshal([]byte(other), &y)
		paths := differing(nil, "", x, y)
		differences = append(differences, fmt.Sprintf("%s differs (%s) at: %s", name, side,
			strings.Join(paths[:min(len(paths), 10)], " ")))
	}
	for _, name := range slices.Sorted(keys(b)) {
		if _, ok := a[name]; !ok {
			differences = append(differences, "only by "+side+": "+name)
		}
	}
	if len(differences) == 0 {
		differences = append(differences, "the same objects in another order ("+side+")")
	}
	return fmt.Errorf("%s", strings.Join(differences, "\n"))
}

func keys(m map[string]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// byName maps kind/namespace/name (numbered where it repeats) to the JSON text.
func byName(objects []string) map[string]string {
	named := make(map[string]string, len(objects))
	for _, text := range objects {
		var object struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
		}
		_ = json.Unmarshal([]byte(text), &object)
		name := object.Kind + "/" + object.Metadata.Namespace + "/" + object.Metadata.Name
		for n := 2; ; n++ {
			if _, taken := named[name]; !taken {
				break
			}
			name = fmt.Sprintf("%s#%d", strings.SplitN(name, "#", 2)[0], n)
		}
		named[name] = text
	}
	return named
}

// differing lists the paths at which two documents differ, with the types where those differ.
func differing(found []string, path string, a, b any) []string {
	if reflect.DeepEqual(a, b) {
		return found
	}
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok {
			break
		}
		for key := range x {
			found = differing(found, path+"."+key, x[key], y[key])
		}
		for key := range y {
			if _, ok := x[key]; !ok {
				found = append(found, path+"."+key+"(added)")
			}
		}
		slices.Sort(found)
		return found
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			break
		}
		for i := range x {
			found = differing(found, fmt.Sprintf("%s[%d]", path, i), x[i], y[i])
		}
		return found
	}
	if s, t := fmt.Sprintf("%T", a), fmt.Sprintf("%T", b); s != t {
		return append(found, fmt.Sprintf("%s(%s/%s)", path, s, t))
	}
	return append(found, path)
}
