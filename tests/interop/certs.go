package interop

// This file makes certificates for the relay: a small CA and leaves below it.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newECKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	k := newECKey(t)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "interop test CA"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(365 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	return &authority{sign(t, tmpl, tmpl, k.Public(), k), k}
}

func sign(t testing.TB, tmpl, parent *x509.Certificate, pub crypto.PublicKey, k crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, k)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// leaf issues a server certificate for a host name or an IP address.
func (a *authority) leaf(t testing.TB, host string, k crypto.Signer) *x509.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: host},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(90 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		tmpl.IPAddresses = []net.IP{ip}
	} else {
		tmpl.DNSNames = []string{host}
	}
	return sign(t, tmpl, a.cert, k.Public(), a.key)
}

// pool returns the CA as the only root.
func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func certPEM(certs ...*x509.Certificate) []byte {
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b
}

func keyPEM(t testing.TB, k crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// writeCertFiles puts a certificate chain and a key where a relay with this
// state folder and host name looks for them.
func writeCertFiles(t testing.TB, dir, hostname string, crt, key []byte) {
	t.Helper()
	s := &Server{Dir: dir, Hostname: hostname}
	if err := os.MkdirAll(s.CertDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.CertFile(), crt)
	base := s.CertFile()[:len(s.CertFile())-len(".crt")]
	writeFile(t, base+".key", key)
}

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// prepareNamed makes a state folder with a certificate for a host name below a
// fresh CA.
func prepareNamed(t testing.TB, hostname string) (dir string, ca *authority) {
	t.Helper()
	dir = t.TempDir()
	ca = newAuthority(t)
	k := newECKey(t)
	writeCertFiles(t, dir, hostname, certPEM(ca.leaf(t, hostname, k)), keyPEM(t, k))
	writeFile(t, filepath.Join(dir, "ca.pem"), certPEM(ca.cert))
	return dir, ca
}
