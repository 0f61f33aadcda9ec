// Command control-plane is the Kubernetes control plane of the demo and the tests in one binary: the upstream
// kube-apiserver with an embedded etcd (serve), the upstream kube-controller-manager, and kubectl.
//
// It is meant for one machine and for throw-away data: it listens on loopback unless it is told where its kubelets
// find it, keeps everything in one directory, and does not wait for the disk. The launcher beside it (control-plane.ts) is how it is normally run.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

const usage = `usage: control-plane serve [--dir DIR] [--port N] [--address IP] [--parent PID]
       control-plane controller-manager [--dir DIR] [--kubeconfig FILE] [--nodes] [--parent PID]
       control-plane kubectl ...
`

func main() {
	if filepath.Base(os.Args[0]) == "kubectl" {
		os.Exit(kubectl(os.Args))
	}
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	command, args := os.Args[1], os.Args[2:]
	switch command {
	case "serve":
		os.Exit(run(command, args, serve))
	case "controller-manager":
		os.Exit(run(command, args, controllerManager))
	case "kubectl":
		os.Exit(kubectl(append([]string{"kubectl"}, args...)))
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
}

// settings is all that a server sub-command is told; everything else follows from the directory.
type settings struct {
	// dir holds tokens.csv and the kubeconfigs (written by the launcher), and the pki and etcd data (written here).
	dir string
	// port is the API server's TCP port; 0 takes a free one.
	port int
	// address is where nodes and pods reach the API server; without it, it is there for 127.0.0.1 alone.
	address string
	// kubeconfig is how the controller manager reaches the API server.
	kubeconfig string
	// nodes asks for every controller; without it, only those run that programs without nodes rely on.
	nodes bool
}

func run(command string, args []string, body func(settings) error) int {
	var s settings
	var parent int
	flags := flag.NewFlagSet(command, flag.ExitOnError)
	flags.StringVar(&s.dir, "dir", ".", "directory that holds everything")
	flags.IntVar(&s.port, "port", 0, "port of the API server; 0 takes a free one")
	flags.StringVar(&s.address, "address", "", "IPv4 address of this host at which nodes and pods reach the API server")
	flags.StringVar(&s.kubeconfig, "kubeconfig", "admin.kubeconfig", "of the controller manager")
	flags.BoolVar(&s.nodes, "nodes", false, "run every controller, for a cluster that has nodes")
	flags.IntVar(&parent, "parent", 0, "process id of the parent with which this process has to end; 0 for none")
	_ = flags.Parse(args) // ExitOnError

	if err := endWithParent(parent); err != nil {
		return fail(command, err)
	}
	// Paths below are relative, so that the length of dir does not count against the 108 bytes of a socket's path.
	if err := os.Chdir(s.dir); err != nil {
		return fail(command, err)
	}
	if err := body(s); err != nil {
		return fail(command, err)
	}
	return 0
}

func fail(command string, err error) int {
	fmt.Fprintf(os.Stderr, "control-plane %s: %v\n", command, err)
	return 1
}
