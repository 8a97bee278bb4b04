// netcheckstun runs a stock Tailscale client's network check, as `tailscale
// netcheck` does, against STUN servers alone:
//
//	netcheckstun HOST:PORT...
//
// Each server is a DERP region of its own. It prints "UDP: BOOL" and
// "MappingVariesByDestIP: true", "false" or "" for not known.
package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"tailscale.com/net/netcheck"
	"tailscale.com/net/netmon"
	"tailscale.com/tailcfg"
	"tailscale.com/types/logger"
)

func mapOf(servers []string) (*tailcfg.DERPMap, error) {
	m := &tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{}}
	for i, s := range servers {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return nil, err
		}
		id := 900 + i
		m.Regions[id] = &tailcfg.DERPRegion{RegionID: id, RegionCode: s,
			Nodes: []*tailcfg.DERPNode{{
				Name: s, RegionID: id, HostName: ap.Addr().String(),
				IPv4: ap.Addr().String(), IPv6: "none",
				STUNPort: int(ap.Port()), STUNOnly: true,
			}}}
	}
	return m, nil
}

func check(servers []string) error {
	m, err := mapOf(servers)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c := &netcheck.Client{
		NetMon: netmon.NewStatic(), Logf: logger.Discard, SkipExternalNetwork: true,
	}
	if err := c.Standalone(ctx, ""); err != nil {
		return err
	}
	r, err := c.GetReport(ctx, m, nil)
	if err != nil {
		return err
	}
	fmt.Printf("UDP: %v\nMappingVariesByDestIP: %v\n", r.UDP, r.MappingVariesByDestIP)
	return nil
}

func main() {
	if err := check(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "netcheckstun:", err)
		os.Exit(1)
	}
}
