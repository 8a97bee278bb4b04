package interop

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailscale.com/derp"
	"tailscale.com/derp/derpconst"
	"tailscale.com/types/key"
)

// handshake returns the state of a TLS connection to the relay, or the error.
func handshake(t *testing.T, s *Server, conf *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: conf}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	nc, err := d.DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer nc.Close()
	return nc.(*tls.Conn).ConnectionState(), nil
}

// The meta certificate is the last of each chain, over TLS 1.2 as well. It
// names the server's key and the protocol version, and carries exactly one
// extension.
func TestMetaCert(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		serverKey := Login(t, s).ServerKey
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			conf := insecureTLS()
			conf.MinVersion, conf.MaxVersion = version, version
			cs, err := handshake(t, s, conf)
			if err != nil {
				t.Fatal(err)
			}
			// Go has parsed each certificate strictly, or failed.
			if len(cs.PeerCertificates) != 2 {
				t.Fatalf("chain of %d certificates, want leaf and meta", len(cs.PeerCertificates))
			}
			if !cs.PeerCertificates[0].Equal(s.Leaf(t)) {
				t.Error("the first certificate is not the one of the certificate folder")
			}
			checkMetaCert(t, cs.PeerCertificates[1], serverKey)
		}
	})
}

func checkMetaCert(t *testing.T, meta *x509.Certificate, serverKey key.NodePublic) {
	t.Helper()
	name := derpconst.MetaCertCommonNamePrefix + serverKey.UntypedHexString()
	if meta.Subject.CommonName != name {
		t.Errorf("subject CN %q, want %q", meta.Subject.CommonName, name)
	}
	if meta.Issuer.String() != "CN="+name || meta.Subject.String() != "CN="+name {
		t.Errorf("issuer %q and subject %q, want only the CN", meta.Issuer, meta.Subject)
	}
	if !meta.SerialNumber.IsInt64() || meta.SerialNumber.Int64() != derp.ProtocolVersion {
		t.Errorf("serial %v, want %d", meta.SerialNumber, derp.ProtocolVersion)
	}
	if meta.Version != 3 {
		t.Errorf("version %d, want 3", meta.Version)
	}
	if len(meta.Extensions) != 1 || meta.Extensions[0].Id.String() != "2.5.29.19" || !meta.Extensions[0].Critical {
		t.Errorf("extensions %v, want only a critical BasicConstraints", meta.Extensions)
	}
	if !meta.BasicConstraintsValid || meta.IsCA {
		t.Error("BasicConstraints must say: not a CA")
	}
	if err := meta.CheckSignature(meta.SignatureAlgorithm, meta.RawTBSCertificate, meta.Signature); err != nil {
		t.Errorf("not self-signed: %v", err)
	}
	now := time.Now()
	if age := now.Sub(meta.NotBefore); age < 29*24*time.Hour || age > 31*24*time.Hour {
		t.Errorf("NotBefore %v, want 30 days ago", meta.NotBefore)
	}
	if left := meta.NotAfter.Sub(now); left < 29*24*time.Hour || left > 31*24*time.Hour {
		t.Errorf("NotAfter %v, want in 30 days", meta.NotAfter)
	}
}

// Without certificate files and with an IP address as host name, a
// self-signed certificate is made, in the files and forms that derper uses.
func TestSelfSignedIPCert(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		for _, c := range []struct{ host, file string }{{"127.0.0.1", "127.0.0.1"}, {"::1", "1"}} {
			s := Start(t, v, Options{Host: c.host})
			base := filepath.Join(s.CertDir(), c.file)
			wantMode(t, base+".crt", 0o644)
			wantMode(t, base+".key", 0o600)
			wantMode(t, s.CertDir(), 0o700)

			leaf := parseOnly(t, base+".crt", "CERTIFICATE")
			cert, err := x509.ParseCertificate(leaf)
			if err != nil {
				t.Fatal(err)
			}
			checkSelfSigned(t, cert, c.host)
			priv, err := x509.ParseECPrivateKey(parseOnly(t, base+".key", "EC PRIVATE KEY"))
			if err != nil {
				t.Fatal(err)
			}
			if priv.Curve != elliptic.P256() || !priv.PublicKey.Equal(cert.PublicKey) {
				t.Error("the key file is not the P-256 key of the certificate")
			}
			cs, err := handshake(t, s, insecureTLS())
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(cs.PeerCertificates[0].Raw, leaf) {
				t.Error("another certificate is presented")
			}
		}
	})
}

func wantMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := fi.Mode().Perm(); got != want {
		t.Errorf("%s: mode %v, want %v", path, got, want)
	}
}

// parseOnly returns the one PEM block of a file.
func parseOnly(t *testing.T, path, typ string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != typ || len(bytes.TrimSpace(rest)) != 0 {
		t.Fatalf("%s: want one PEM block %q", path, typ)
	}
	return block.Bytes
}

func checkSelfSigned(t *testing.T, cert *x509.Certificate, host string) {
	t.Helper()
	if cert.Subject.String() != "CN="+host || cert.Issuer.String() != "CN="+host {
		t.Errorf("subject %q, issuer %q, want CN=%s", cert.Subject, cert.Issuer, host)
	}
	if len(cert.IPAddresses) != 1 || !cert.IPAddresses[0].Equal(net.ParseIP(host)) || len(cert.DNSNames) != 0 {
		t.Errorf("SAN %v %v, want only the IP %s", cert.IPAddresses, cert.DNSNames, host)
	}
	if err := cert.VerifyHostname(host); err != nil {
		t.Error(err)
	}
	if cert.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment {
		t.Errorf("key usage %b", cert.KeyUsage)
	}
	if len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth {
		t.Errorf("extended key usage %v", cert.ExtKeyUsage)
	}
	if !cert.BasicConstraintsValid || cert.IsCA {
		t.Error("BasicConstraints must say: not a CA")
	}
	if err := cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
		t.Errorf("not self-signed: %v", err)
	}
	if bits := cert.SerialNumber.BitLen(); bits < 64 || bits > 128 || cert.SerialNumber.Sign() < 0 {
		t.Errorf("serial %v: want a random number of up to 128 bits", cert.SerialNumber)
	}
	now := time.Now()
	if cert.NotBefore.After(now) || cert.NotBefore.Before(now.Add(-time.Hour)) {
		t.Errorf("NotBefore %v, want now", cert.NotBefore)
	}
	if !cert.NotAfter.Equal(cert.NotBefore.AddDate(1, 0, 0)) {
		t.Errorf("valid from %v to %v, want one year", cert.NotBefore, cert.NotAfter)
	}
}

// The key file is made with derper's layout and mode.
func TestKeyFileMade(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		path := filepath.Join(s.Dir, "derper.key")
		wantMode(t, path, 0o600)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ PrivateKey key.NodePrivate }
		if err := json.Unmarshal(b, &file); err != nil {
			t.Fatal(err)
		}
		if file.PrivateKey.Public() != Login(t, s).ServerKey {
			t.Error("the server's key is not the one of the file")
		}
		want, _ := json.MarshalIndent(file, "", "\t")
		if strings.TrimSpace(string(b)) != string(want) {
			t.Errorf("file %q, want %q", b, want)
		}
	})
}

// A key file of any JSON layout is read, and not rewritten.
func TestKeyFileRead(t *testing.T) {
	priv := key.NewNode()
	text, err := priv.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	forEach(t, bothServers, func(t *testing.T, v variant) {
		for _, layout := range []string{
			`{"PrivateKey":"%"}`,
			"\n {\r\n\t\"privatekey\" : \"%\" } \n\n",
			`{"Comment":{"by":["hand"]},"PrivateKey":"%"}`,
		} {
			dir := t.TempDir()
			path := filepath.Join(dir, "derper.key")
			content := strings.Replace(layout, "%", string(text), 1)
			writeFile(t, path, []byte(content))
			s := Start(t, v, Options{Dir: dir})
			if got := Login(t, s).ServerKey; got != priv.Public() {
				t.Errorf("%q: server key %v, want %v", layout, got, priv.Public())
			}
			if b, _ := os.ReadFile(path); string(b) != content {
				t.Errorf("%q: the file was changed to %q", layout, b)
			}
		}
	})
}

// A restart keeps key and certificate; the two programs understand each
// other's files, so that a site may replace the binary and nothing else.
func TestRestartKeepsIdentity(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		dir := t.TempDir()
		s := Start(t, v, Options{Dir: dir})
		serverKey, pin := Login(t, s).ServerKey, s.Pin(t)
		again := []variant{v}
		if os.Getenv("INTEROP_ONLY") == "" && os.Getenv("RELAYD") != "" && os.Getenv("DERPER") != "" {
			again = append(again, bothServers...)
		}
		for _, next := range again {
			s.Stop(t)
			s = Start(t, next, Options{Dir: dir})
			a, b := ConnectPeer(t, s), ConnectPeer(t, s)
			transfer(t, a, b, makePackets(1, 10, 1000), 1)
			if a.ServerPublicKey() != serverKey || s.Pin(t) != pin {
				t.Errorf("%s has another key or certificate", next.name)
			}
		}
	})
}

// Certificates from elsewhere, with each form of key file in use.
func TestCertificateForms(t *testing.T) {
	const host = "relay.test"
	ca := newAuthority(t)
	ec := newECKey(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	block := func(typ string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
	}
	cases := []struct {
		name string
		key  crypto.Signer
		pem  []byte
	}{
		{"EC SEC1", ec, block("EC PRIVATE KEY", sec1)},
		{"EC PKCS8", ec, keyPEM(t, ec)},
		{"EC P-384", p384, keyPEM(t, p384)},
		{"RSA PKCS1", rsaKey, block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey))},
		{"RSA PKCS8", rsaKey, keyPEM(t, rsaKey)},
		{"Ed25519", ed, keyPEM(t, ed)},
	}
	forEach(t, bothServers, func(t *testing.T, v variant) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				dir := t.TempDir()
				writeCertFiles(t, dir, host, certPEM(ca.leaf(t, host, c.key)), c.pem)
				s := Start(t, v, Options{Dir: dir, Hostname: host})
				cs, err := handshake(t, s, &tls.Config{RootCAs: ca.pool(), ServerName: host})
				if err != nil {
					t.Fatal(err)
				}
				if len(cs.PeerCertificates) != 2 {
					t.Errorf("chain of %d, want leaf and meta", len(cs.PeerCertificates))
				}
			})
		}
	})
}

// A host name that is a name is checked against the client's SNI; one that is
// an IP address is not.
func TestSNI(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		dir, ca := prepareNamed(t, "relay.test")
		named := Start(t, v, Options{Dir: dir, Hostname: "relay.test"})
		byIP := Start(t, v, Options{})
		for _, c := range []struct {
			s    *Server
			name string
			ok   bool
		}{
			{named, "relay.test", true},
			{named, "other.test", false},
			{named, "sub.relay.test", false},
			{named, "", false},
			{byIP, "", true},
			{byIP, "relay.test", true},
			{byIP, "127.0.0.1", true}, // sent as no name at all
		} {
			conf := insecureTLS()
			conf.ServerName = c.name
			if _, err := handshake(t, c.s, conf); (err == nil) != c.ok {
				t.Errorf("-hostname %s, SNI %q: error %v, want success: %v", c.s.Hostname, c.name, err, c.ok)
			}
		}
		// A stock client with the name, and nothing but the CA to trust.
		dc, pub := newRegionClient(t, regionOf(withoutPin(named.Node(t))))
		dc.TLSConfig = &tls.Config{RootCAs: ca.pool()}
		a := runPeer(t, dc, pub)
		transfer(t, a, a, makePackets(1, 3, 1000), 1)
	})
}

// TLS 1.0 and 1.1 are refused. Of application protocols HTTP/1.1 is chosen,
// since DERP cannot run over HTTP/2. Stock clients offer none.
func TestTLSParameters(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
			conf := insecureTLS()
			conf.MinVersion, conf.MaxVersion = version, version
			if _, err := handshake(t, s, conf); err == nil {
				t.Errorf("TLS version %#x was accepted", version)
			}
		}
		for _, c := range []struct {
			offer []string
			want  string
		}{
			{nil, ""},
			{[]string{"http/1.1"}, "http/1.1"},
			{[]string{"h2", "http/1.1"}, "http/1.1"},
			{[]string{"foo", "http/1.1"}, "http/1.1"},
		} {
			conf := insecureTLS()
			conf.NextProtos = c.offer
			cs, err := handshake(t, s, conf)
			if err != nil || cs.NegotiatedProtocol != c.want {
				t.Errorf("ALPN %v: %q, error %v; want %q", c.offer, cs.NegotiatedProtocol, err, c.want)
			}
		}
		// HTTP/2 alone: Go's server library adds it to derper's list. relayd
		// does not speak it; it may refuse, or go on without a protocol.
		conf := insecureTLS()
		conf.NextProtos = []string{"h2"}
		cs, err := handshake(t, s, conf)
		switch {
		case v.kind == Derper && cs.NegotiatedProtocol != "h2":
			t.Errorf("ALPN h2: %q, error %v", cs.NegotiatedProtocol, err)
		case v.kind == Relayd && cs.NegotiatedProtocol != "":
			t.Errorf("ALPN h2: %q was chosen", cs.NegotiatedProtocol)
		}
	})
}
