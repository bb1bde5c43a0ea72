package caller

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Entry is one member of an archive made by hand: a folder (the name ends in "/"), a link, or a file.
type Entry struct {
	Name, Link string
	Text       []byte
}

// Tgz makes an archive of any entries, also of such as argocd-repo-server never sends.
func Tgz(entries ...Entry) *Archive {
	var buffer bytes.Buffer
	packed := gzip.NewWriter(&buffer)
	archive := tar.NewWriter(packed)
	for _, e := range entries {
		header := &tar.Header{Name: e.Name, Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(e.Text))}
		switch {
		case e.Link != "":
			header.Typeflag, header.Linkname = tar.TypeSymlink, e.Link
		case strings.HasSuffix(e.Name, "/"):
			header.Typeflag, header.Mode, header.Name = tar.TypeDir, 0o755, strings.TrimSuffix(e.Name, "/")
		}
		// Writing to memory fails only on a header that tar cannot hold, which is a fault of this program.
		must(archive.WriteHeader(header))
		_, err := archive.Write(e.Text)
		must(err)
	}
	must(archive.Close())
	must(packed.Close())
	return NewArchive(buffer.Bytes())
}

// Entries reads a folder, but for `.git`.
func Entries(root string) (entries []Entry, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name == ".git" {
				return filepath.SkipDir
			}
			entries = append(entries, Entry{Name: name + "/"})
			return nil
		}
		text, err := os.ReadFile(path)
		entries = append(entries, Entry{Name: name, Text: text})
		return err
	})
	return entries, err
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
