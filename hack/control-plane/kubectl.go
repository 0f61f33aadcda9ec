package main

import (
	"os"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // the login plugins that kubectl has
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

// kubectl is upstream's kubectl. It reads os.Args itself (plugins, verbosity), so they are made to look as usual.
func kubectl(args []string) int {
	os.Args = args
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(args)) // as upstream: an unreadable -v is reported by the flag parser
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
	return 0
}
