// Command mkrepo makes a git repository of charts with encrypted values files among other files; see internal/repos.
//
//	mkrepo -charts 100 -files 5000 -bytes 11000 -sops PATH -age RECIPIENT DIR
package main

import (
	"flag"
	"log"

	"tools/internal/repos"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("mkrepo: ")
	var spec repos.Spec
	flag.IntVar(&spec.Charts, "charts", 2, "charts, apps/app-000 and so on")
	flag.IntVar(&spec.Files, "files", 20, "files in all")
	flag.IntVar(&spec.Bytes, "bytes", 500, "size of each file beside the charts")
	flag.StringVar(&spec.Sops, "sops", "sops", "the sops program")
	flag.StringVar(&spec.Recipient, "age", "", "age recipient of the secrets")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("give one folder")
	}
	if err := repos.Make(flag.Arg(0), spec); err != nil {
		log.Fatal(err)
	}
}
