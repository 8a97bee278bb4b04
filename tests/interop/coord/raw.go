package coord

// This file owns a client that asks to join as it is told: for requests that
// tailscaled never makes. Its transport is Tailscale's own.

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"

	"tailscale.com/control/ts2021"
	"tailscale.com/net/tsdial"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

type raw struct {
	w       *world
	machine key.MachinePrivate
	node    key.NodePrivate
	noise   *ts2021.Client
}

// raw makes such a client with fresh keys.
func (w *world) raw() *raw {
	w.Helper()
	r := &raw{w: w, machine: key.NewMachine(), node: key.NewNode()}
	page, err := w.get(serverURL + "/key?v=142")
	if err != nil {
		w.Fatal(err)
	}
	var keys tailcfg.OverTLSPublicKeyResponse
	if err := json.Unmarshal([]byte(page), &keys); err != nil {
		w.Fatalf("/key: %v: %s", err, page)
	}
	dial := func(_ context.Context, network, addr string) (c net.Conn, err error) {
		w.servers.do(w, func() { c, err = net.DialTimeout(network, addr, patience) })
		return c, err
	}
	quiet := func(string, ...any) {}
	r.noise, err = ts2021.NewClient(ts2021.ClientOpts{
		ServerURL:    serverURL,
		PrivKey:      r.machine,
		ServerPubKey: keys.PublicKey,
		Dialer:       tsdial.NewFromFuncForDebug(quiet, dial),
		Logf:         quiet,
	})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { r.noise.Close() })
	return r
}

// request is what a client without anything but its keys sends.
func (r *raw) request() tailcfg.RegisterRequest {
	return tailcfg.RegisterRequest{
		Version:  tailcfg.CurrentCapabilityVersion,
		NodeKey:  r.node.Public(),
		Hostinfo: &tailcfg.Hostinfo{Hostname: "raw", OS: "linux"},
	}
}

// withKey is request with an auth key.
func (r *raw) withKey(key string) tailcfg.RegisterRequest {
	q := r.request()
	q.Auth = &tailcfg.RegisterResponseAuth{AuthKey: key}
	return q
}

// post sends a request and returns status and body.
func (r *raw) post(path string, q any) (int, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	res, err := r.noise.Post(ctx, path, r.node.Public(), q)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// register asks to join and returns the answer, which must be one.
func (r *raw) register(q tailcfg.RegisterRequest) tailcfg.RegisterResponse {
	r.w.Helper()
	answer, err := r.tryRegister(q)
	if err != nil {
		r.w.Fatal(err)
	}
	return answer
}

func (r *raw) tryRegister(q tailcfg.RegisterRequest) (a tailcfg.RegisterResponse, err error) {
	status, body, err := r.post("/machine/register", q)
	if err == nil && status != 200 {
		err = fmt.Errorf("status %d: %s", status, body)
	}
	if err == nil {
		err = json.Unmarshal([]byte(body), &a)
	}
	return a, err
}

// joins registers and says that it must succeed.
func (r *raw) joins(q tailcfg.RegisterRequest) {
	r.w.Helper()
	a := r.register(q)
	if a.Error != "" || a.AuthURL != "" || a.NodeKeyExpired || !a.MachineAuthorized {
		r.w.Fatalf("want success, got %+v", a)
	}
}

// refused registers and says that it must not succeed, and with an error.
func (r *raw) refused(q tailcfg.RegisterRequest) string {
	r.w.Helper()
	a := r.register(q)
	if a.Error == "" || a.MachineAuthorized {
		r.w.Fatalf("want an error, got %+v", a)
	}
	return a.Error
}

// loggedOut is the time that a client sends to log out.
var loggedOut = time.Unix(123, 0)
