package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	basecompatibility "k8s.io/component-base/compatibility"
)

const (
	// etcd is reached through a socket in the directory: no TCP port that anybody else could take or use.
	etcdSocket = "etcd.sock"
	// Start-up takes 3 to 4 s on two cores; a loaded machine has been seen to take four times that.
	readyTimeout   = 120 * time.Second
	readyInterval  = 50 * time.Millisecond
	serviceNetwork = "10.96.0.0/16"
	// The first of the service network, by which pods know the API server.
	kubernetesServiceIP = "10.96.0.1"
)

// serve runs etcd and the API server until SIGTERM or SIGINT. When the API server is ready it prints one line,
// "ready https://127.0.0.1:PORT", on stdout: it is there for its own host's loopback in any case.
func serve(s settings) error {
	ctx := genericapiserver.SetupSignalContext()
	if err := ensurePKI(s.address); err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	etcd, err := startEtcd()
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer etcd.Close()

	host := "127.0.0.1"
	if s.address != "" {
		host = "0.0.0.0"
	}
	listener, err := net.Listen("tcp4", fmt.Sprintf("%s:%d", host, s.port))
	if err != nil {
		return err
	}
	go announceWhenReady(ctx, fmt.Sprintf("https://127.0.0.1:%d", listener.Addr().(*net.TCPAddr).Port))
	return runAPIServer(ctx, listener, s.address)
}

func startEtcd() (*embed.Etcd, error) {
	cfg := embed.NewConfig()
	cfg.Dir = "etcd"
	cfg.UnsafeNoFsync = true // throw-away data: a crash of the machine may lose it, a crash of the process does not
	cfg.LogLevel = "error"
	cfg.ListenClientUrls = []url.URL{{Scheme: "unix", Host: etcdSocket}}
	cfg.ListenPeerUrls = nil // one member: the advertised addresses below are names that nobody dials
	// A socket left by a killed predecessor would make the listen fail.
	if err := os.Remove(etcdSocket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err := <-etcd.Err():
		return nil, err
	case <-time.After(readyTimeout):
		etcd.Close()
		return nil, errors.New("not ready in time")
	}
}

// apiServerArgs are the upstream flags. What is not named keeps its upstream default, so that tests meet the API
// server as a production cluster has it.
func apiServerArgs(address string) []string {
	place := []string{
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none", // no kubernetes Endpoints: they must not be loopback
	}
	if address != "" {
		place = []string{
			"--advertise-address=" + address,
			"--kubelet-preferred-address-types=InternalIP", // there is no name server
		}
	}
	return append(place,
		"--etcd-servers=unix://"+etcdSocket,
		"--tls-cert-file="+serverCertFile,
		"--tls-private-key-file="+serverKeyFile,
		"--token-auth-file=tokens.csv",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--client-ca-file="+caCertFile,
		"--kubelet-client-certificate="+kubeletClientCertFile,
		"--kubelet-client-key="+kubeletClientKeyFile,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+serviceAccountKeyFile,
		"--service-account-signing-key-file="+serviceAccountKeyFile,
		"--service-cluster-ip-range="+serviceNetwork,
		"--allow-privileged=true",
		"--profiling=false",
	)
}

// runAPIServer does what upstream's command does, with a listener that is already open: so a port of 0 needs no
// guess, and the printed address is the one that is served.
func runAPIServer(ctx context.Context, listener net.Listener, address string) error {
	opts := options.NewServerRunOptions()
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, set := range opts.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(apiServerArgs(address)); err != nil {
		return err
	}
	opts.SecureServing.Listener = listener
	opts.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port

	registry := opts.GenericServerRunOptions.ComponentGlobalsRegistry
	if err := registry.Set(); err != nil {
		return err
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	if err := logsapi.ValidateAndApply(opts.Logs, registry.FeatureGateFor(basecompatibility.DefaultKubeComponent)); err != nil {
		return err
	}
	completed, err := opts.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return utilerrors.NewAggregate(errs)
	}
	return app.Run(ctx, completed)
}

// announceWhenReady polls /readyz, as any client would, and says so once. It ends the process when that takes too
// long: a launcher that waits for the line then sees the end instead.
func announceWhenReady(ctx context.Context, address string) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: ownCA()},
		DisableKeepAlives: true,
	}}
	deadline := time.Now().Add(readyTimeout)
	for ctx.Err() == nil && time.Now().Before(deadline) {
		if isReady(client, address) {
			fmt.Println("ready " + address)
			return
		}
		time.Sleep(readyInterval)
	}
	if ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "control-plane serve: not ready within %s\n", readyTimeout)
		os.Exit(1)
	}
}

func isReady(client *http.Client, address string) bool {
	response, err := client.Get(address + "/readyz")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func ownCA() *x509.CertPool {
	pool := x509.NewCertPool()
	pemBytes, err := os.ReadFile(caCertFile)
	if err != nil || !pool.AppendCertsFromPEM(pemBytes) {
		panic(fmt.Sprintf("%s, which this process has just written, is not readable: %v", caCertFile, err))
	}
	return pool
}
