// Makes `tree.tgz` as the repo-server makes archives (argo-cd 3.6: Go's archive/tar below gzip, names by a walk of the tree):
//
//	go run tests/vectors/archive/make.go > tests/vectors/archive/tree.tgz
package main

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	root, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(root)
	long := strings.Repeat("folder-with-a-long-name/", 12)
	for name, text := range map[string]string{
		".git/HEAD":                 "ref: refs/heads/main\n",
		"app/values.yaml":           "a: 1\n",
		"app/größe.yaml":            "b: 2\n",
		"app/\xff.yaml":             "c: 3\n",
		"app/empty":                 "",
		long + "values.yaml":        "d: 4\n",
		"split/" + long[:120] + "x": "e: 5\n",
		"large":                     strings.Repeat("0123456789abcde\n", 20_000),
	} {
		path := filepath.Join(root, name)
		check(os.MkdirAll(filepath.Dir(path), 0o755))
		check(os.WriteFile(path, []byte(text), 0o640))
	}
	check(os.Symlink("values.yaml", filepath.Join(root, "app/link")))
	check(os.Symlink("../"+long+"values.yaml", filepath.Join(root, "app/long-link")))
	check(os.Symlink("..", filepath.Join(root, "app/root")))

	zip := gzip.NewWriter(os.Stdout)
	out := tar.NewWriter(zip)
	check(filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		check(err)
		target := ""
		if info.Mode()&os.ModeSymlink != 0 {
			target, err = os.Readlink(path)
			check(err)
		}
		header, err := tar.FileInfoHeader(info, target)
		check(err)
		header.Name, err = filepath.Rel(root, path)
		check(err)
		header.ModTime, header.Uname, header.Gname = time.Unix(1_700_000_000, 0), "argocd", "argocd"
		check(out.WriteHeader(header))
		if info.Mode().IsRegular() {
			file, err := os.Open(path)
			check(err)
			_, err = io.Copy(out, file)
			check(err)
			check(file.Close())
		}
		return nil
	}))
	check(out.Close())
	check(zip.Close())
}
