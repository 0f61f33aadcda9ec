package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"
)

// Files of the control plane's own trust, relative to its directory. The CA's key is not kept: it signs twice.
const (
	caCertFile     = "pki/ca.crt"
	serverCertFile = "pki/apiserver.crt"
	serverKeyFile  = "pki/apiserver.key"
	// What the API server shows to kubelets, for logs and exec.
	kubeletClientCertFile = "pki/apiserver-kubelet-client.crt"
	kubeletClientKeyFile  = "pki/apiserver-kubelet-client.key"
	// serviceAccountKeyFile signs service-account tokens; the API server derives the public half from it.
	serviceAccountKeyFile = "pki/service-account.key"
)

const certificateLifetime = 30 * 24 * time.Hour

// ensurePKI makes the CA, the API server's two certificates and the service-account key; a directory that has them keeps them,
// so that clients and tokens outlive a restart.
func ensurePKI(address string) error {
	if _, err := os.Stat(serviceAccountKeyFile); err == nil {
		return nil
	}
	if err := os.MkdirAll("pki", 0o755); err != nil {
		return err
	}
	if err := makeCertificates(address); err != nil {
		return err
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	return writeKey(serviceAccountKeyFile, key) // last: its presence says that all are there
}

func makeCertificates(address string) error {
	caKey, err := newKey()
	if err != nil {
		return err
	}
	ca := template("control-plane-ca", 1)
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	if err := writeCertificate(caCertFile, ca, ca, caKey, caKey); err != nil {
		return err
	}
	serverKey, err := newKey()
	if err != nil {
		return err
	}
	server := template("kube-apiserver", 2)
	server.KeyUsage = x509.KeyUsageDigitalSignature
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(kubernetesServiceIP)}
	if address != "" {
		server.IPAddresses = append(server.IPAddresses, net.ParseIP(address))
	}
	server.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	if err := writeCertificate(serverCertFile, server, ca, serverKey, caKey); err != nil {
		return err
	}
	if err := writeKey(serverKeyFile, serverKey); err != nil {
		return err
	}
	clientKey, err := newKey()
	if err != nil {
		return err
	}
	client := template("kube-apiserver-kubelet-client", 3)
	client.Subject.Organization = []string{"system:masters"}
	client.KeyUsage = x509.KeyUsageDigitalSignature
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if err := writeCertificate(kubeletClientCertFile, client, ca, clientKey, caKey); err != nil {
		return err
	}
	return writeKey(kubeletClientKeyFile, clientKey)
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func template(name string, serial int64) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(certificateLifetime),
	}
}

func writeCertificate(path string, certificate, issuer *x509.Certificate, key, issuerKey *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, certificate, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}
