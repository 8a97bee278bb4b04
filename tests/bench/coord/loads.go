// loads.go: what is done to a coordinator, and which figures it gives. A map that is wrong or that never comes is an
// error; a slow one never is.

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"

	"campusnet/bench/proc"
)

type figures map[string]float64

// size holds what a run is bounded by.
type size struct {
	nodes, many, team int
	changes, ups      int
	width             int // nodes that join at a time among many
	limit             time.Duration
	settle            time.Duration
	oneSource         bool
}

// load is one way to drive fresh coordinators, and the rows that it fills. Loads that swarm takes run for one coordinator.
type load struct {
	name string
	run  func(e entry, dir string, z size, fig figures) error
	rows []row
}

// A map of the relays as nodes see it; simulated nodes do not go there.
const noRelay = `{"Regions":{"900":{"RegionID":900,"RegionCode":"bench","RegionName":"bench","Nodes":[{"Name":"900a",` +
	`"RegionID":900,"HostName":"127.0.0.1","IPv4":"127.0.0.1","DERPPort":3443,"STUNPort":-1}]}}}`

// population starts a coordinator and makes, but does not start, n nodes in teams. One team needs no policy: all see all.
func population(e entry, dir string, z size, n, team int) (*coordinator, *swarm, error) {
	at := site{derpMap: noRelay}
	teams := (n + team - 1) / team
	if teams > 1 {
		at.policy = teamPolicy(teams)
	}
	c, err := e.start(dir, at)
	if err != nil {
		return nil, nil, err
	}
	var keys []string
	for i := range teams {
		k, err := c.addUser(teamName(i))
		if err != nil {
			c.stop()
			return nil, nil, err
		}
		keys = append(keys, k)
	}
	s := newSwarm(c.addr, n, team, keys, z.oneSource)
	runtime.GC() // the last load's garbage is not this one's
	return c, s, nil
}

func teamName(i int) string { return fmt.Sprintf("team-%03d", i) }

// teamPolicy lets each team reach itself.
func teamPolicy(teams int) string {
	var b strings.Builder
	b.WriteString("{\"acls\": [\n")
	for i := range teams {
		fmt.Fprintf(&b, "\t{\"action\": \"accept\", \"src\": [\"%[1]s@\"], \"dst\": [\"%[1]s@:*\"]},\n", teamName(i))
	}
	b.WriteString("]}\n")
	return b.String()
}

// meet lets the nodes join, at most width at a time, and returns when all have the right map.
func meet(c *coordinator, s *swarm, z size, width int) (time.Duration, error) {
	t0 := time.Since(epoch)
	s.start(width)
	last, err := s.settle(t0, z.limit, c.done)
	if err != nil {
		_, sample := s.takeFailures()
		return 0, errors.Join(err, sample)
	}
	return last - t0, s.verify(patience)
}

// few is a tailnet without nodes, then of two.
func few(e entry, dir string, z size, fig figures) (err error) {
	c, s, err := population(e, dir, z, 2, 2)
	if err != nil {
		return err
	}
	defer c.end(&err)
	if fig["mem_none"], err = c.memory(z.settle); err != nil {
		return err
	}
	defer s.stop()
	if _, err = meet(c, s, z, 2); err != nil {
		return err
	}
	fig["mem_few"], err = c.memory(z.settle)
	return err
}

// all joins many nodes at once that all see each other, changes them, and restarts the coordinator below them.
func all(e entry, dir string, z size, fig figures) (err error) {
	c, s, err := population(e, dir, z, z.nodes, z.nodes)
	if err != nil {
		return err
	}
	defer c.end(&err)
	defer s.stop()
	m, err := proc.Start(c.cmd.Process.Pid)
	if err != nil {
		return err
	}
	took, err := meet(c, s, z, z.nodes)
	if err != nil {
		return err
	}
	used, err := m.Read()
	if err != nil {
		return err
	}
	failures, sample := s.takeFailures()
	if sample != nil {
		note("%s: while they joined, first failure: %v", e.name, sample)
	}
	fig["join_time"] = took.Seconds()
	fig["join_cpu"] = used.Process.Seconds()
	fig["join_others"] = used.Others
	fig["join_failures"] = float64(failures)
	fig["join_bytes"] = float64(s.bytes.Load()) / (1 << 20)
	fig["join_messages"] = float64(s.messages.Load()) / float64(len(s.nodes))
	if fig["mem_nodes"], err = c.memory(z.settle); err != nil {
		return err
	}
	if err = changes(c, s, z, fig, ""); err != nil {
		return err
	}
	return restart(c, s, z, fig)
}

// teams joins very many nodes of which each sees a few.
func teams(e entry, dir string, z size, fig figures) (err error) {
	if e.isHeadscale() && z.many > 2000 {
		note("%s: %d nodes in teams are left out, they would take it too long", e.name, z.many)
		return nil
	}
	c, s, err := population(e, dir, z, z.many, z.team)
	if err != nil {
		return err
	}
	defer c.end(&err)
	defer s.stop()
	m, err := proc.Start(c.cmd.Process.Pid)
	if err != nil {
		return err
	}
	took, err := meet(c, s, z, z.width)
	if err != nil {
		return err
	}
	used, err := m.Read()
	if err != nil {
		return err
	}
	fig["many_cpu"] = used.Process.Seconds()
	fig["many_time"] = took.Seconds()
	if fig["mem_many"], err = c.memory(z.settle); err != nil {
		return err
	}
	return changes(c, s, z, fig, "many_")
}

// changes lets one node after the other have a new endpoint, and waits each time until all who see it know.
func changes(c *coordinator, s *swarm, z size, fig figures, prefix string) error {
	var took []time.Duration
	m, err := proc.Start(c.cmd.Process.Pid)
	if err != nil {
		return err
	}
	bytes0 := s.bytes.Load()
	for end := time.Now().Add(z.limit / 5); len(took) < z.changes && time.Now().Before(end); {
		n := s.nodes[rand.IntN(len(s.nodes))]
		d, err := s.change(n, int64(len(took)+1), z.limit)
		if err != nil {
			return err
		}
		took = append(took, d)
		// Not in step with the coordinator's batches.
		time.Sleep(20*time.Millisecond + rand.N(100*time.Millisecond))
	}
	used, err := m.Read()
	if err != nil {
		return err
	}
	s.watching.Store(nil)
	slices.Sort(took)
	fig[prefix+"change_p50"] = float64(took[len(took)*50/100].Microseconds()) / 1e3
	fig[prefix+"change_p99"] = float64(took[len(took)*99/100].Microseconds()) / 1e3
	fig[prefix+"change_cpu"] = float64(used.Process.Microseconds()) / 1e3 / float64(len(took))
	fig[prefix+"change_others"] = used.Others
	fig[prefix+"change_bytes"] = float64(s.bytes.Load()-bytes0) / float64(len(took)) / float64(s.peersOf(s.nodes[0]))
	return s.verify(patience)
}

// restart ends the coordinator as an administrator would and starts it again.
func restart(c *coordinator, s *swarm, z size, fig figures) error {
	s.takeFailures()
	t0 := time.Since(epoch)
	c.stop()
	for end := time.Now().Add(patience); s.streams() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("the coordinator has ended, but %d streams have not", s.streams())
		}
	}
	down := time.Since(epoch)
	if err := c.run(); err != nil {
		return err
	}
	ready := time.Since(epoch)
	last, err := s.settle(t0, z.limit, c.done)
	if err != nil {
		return err
	}
	fig["restart_stop"] = (down - t0).Seconds()
	fig["restart_start"] = (ready - down).Seconds()
	fig["restart_back"] = (last - t0).Seconds()
	fig["restart_rate"] = float64(s.busiest(t0))
	return s.verify(patience)
}
