package main

import (
	"fmt"
	"strings"

	"k8s.io/component-base/cli"
	kcm "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/names"
)

// controllers are those whose work something without nodes relies on; the others would only cost start-up time and
// memory there.
var controllers = []string{
	names.NamespaceController,              // a deleted namespace ends
	names.GarbageCollectorController,       // so does what a deleted object owned
	names.ServiceAccountController,         // every namespace has its default service account
	names.ServiceAccountTokenController,    // and secrets of type service-account-token are filled
	names.ClusterRoleAggregationController, // admin, edit and view are what people expect
}

// controllerManager runs the upstream kube-controller-manager until SIGTERM or SIGINT. It needs no port of its own.
func controllerManager(s settings) error {
	command := kcm.NewControllerManagerCommand()
	wanted := controllers
	if s.nodes {
		wanted = []string{"*", "-" + names.NodeIpamController} // the cluster lab gives each node its pods' network
	}
	command.SetArgs([]string{
		"--controllers=" + strings.Join(wanted, ","),
		"--kubeconfig=" + s.kubeconfig,
		"--leader-elect=false",
		"--secure-port=0",
		"--service-account-private-key-file=" + serviceAccountKeyFile,
		"--root-ca-file=" + caCertFile,
	})
	if code := cli.Run(command); code != 0 {
		return fmt.Errorf("kube-controller-manager ended with code %d", code)
	}
	return nil
}
