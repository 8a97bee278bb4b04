// netmap.go: what a simulated node was told. It takes map messages apart and compares what they add up to with what
// the nodes announced of themselves. No connection and no clock.

package main

import (
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"
)

// mapMessage is the part of a map message that is checked.
type mapMessage struct {
	KeepAlive         bool
	Node              *mapNode
	Peers             []mapNode
	PeersChanged      []mapNode
	PeersRemoved      []int64
	PeersChangedPatch []mapPatch
	OnlineChange      map[int64]bool
	PacketFilter      []any
	PacketFilters     map[string][]any
}

type mapNode struct {
	ID        int64
	Key       string
	DiscoKey  string
	Addresses []string
	Endpoints []string
	HomeDERP  int
	Online    *bool
}

type mapPatch struct {
	NodeID     int64
	Key        *string
	DiscoKey   *string
	Endpoints  []string
	DERPRegion int
	Online     *bool
}

// One decoder for all, with as many states as cores.
var unzip = func() *zstd.Decoder {
	d, err := zstd.NewReader(nil)
	if err != nil {
		panic(err)
	}
	return d
}()

var seed = maphash.MakeSeed()

// digest of strings whose order means nothing.
func digest(v []string) uint64 {
	var sum uint64
	for _, s := range v {
		sum += maphash.String(seed, s)
	}
	return sum
}

// truth is what a node announced of itself. team is who must see it: the nodes of the same team.
type truth struct {
	index     int
	team      int
	key       string
	disco     uint64
	endpoints uint64
	relay     int
	addresses uint64 // as it was told itself, 0 before it was
}

// truths has the current ones by node key.
type truths map[string]*truth

// peer is what a node was told of another one.
type peer struct {
	who                         *truth // nil: nobody has this key
	disco, endpoints, addresses uint64
	relay                       int
	online, right               bool
}

// netmap is what one node was told. right counts the peers that are as they announced themselves.
type netmap struct {
	self   *truth
	id     int64
	peers  map[int64]peer
	right  int
	filter bool // the first message had a packet filter that lets somebody in
}

func newNetmap(self *truth) *netmap { return &netmap{self: self, peers: map[int64]peer{}} }

func (p peer) isRight(self *truth) bool {
	return p.who != nil && p.who != self && p.who.team == self.team && p.disco == p.who.disco &&
		p.endpoints == p.who.endpoints && p.relay == p.who.relay
}

func (m *netmap) set(id int64, p peer) {
	old, had := m.peers[id]
	if had && old.right {
		m.right--
	}
	if p.right = p.isRight(m.self); p.right {
		m.right++
	}
	m.peers[id] = p
}

func (m *netmap) put(n mapNode, all truths) {
	m.set(n.ID, peer{
		who: all[n.Key], disco: digest([]string{n.DiscoKey}), endpoints: digest(n.Endpoints),
		addresses: digest(n.Addresses), relay: n.HomeDERP, online: n.Online != nil && *n.Online,
	})
}

func (m *netmap) drop(id int64) {
	if m.peers[id].right {
		m.right--
	}
	delete(m.peers, id)
}

// apply takes the next message, compressed as it came.
func (m *netmap) apply(compressed []byte, all truths) error {
	text, err := unzip.DecodeAll(compressed, nil)
	if err != nil {
		return fmt.Errorf("map message: %w", err)
	}
	var msg mapMessage
	if err := json.Unmarshal(text, &msg); err != nil {
		return fmt.Errorf("map message: %w: %.200s", err, text)
	}
	if msg.Node != nil {
		if msg.Node.Key != m.self.key {
			return fmt.Errorf("a node was told that its key is %s, which is another's", msg.Node.Key)
		}
		m.id = msg.Node.ID
		m.self.addresses = digest(msg.Node.Addresses)
		m.filter = m.filter || len(msg.PacketFilter) > 0 || len(msg.PacketFilters["base"]) > 0
	} else if m.id == 0 && !msg.KeepAlive {
		return fmt.Errorf("the first map message has no Node: %.200s", text)
	}
	// The order is the stock client's: a list of all peers excludes the rest.
	if len(msg.Peers) > 0 {
		m.peers, m.right = make(map[int64]peer, len(msg.Peers)), 0
		for _, n := range msg.Peers {
			m.put(n, all)
		}
		return nil
	}
	for _, id := range msg.PeersRemoved {
		m.drop(id)
	}
	for _, n := range msg.PeersChanged {
		m.put(n, all)
	}
	for id, online := range msg.OnlineChange {
		if p, ok := m.peers[id]; ok {
			p.online = online
			m.set(id, p)
		}
	}
	for _, q := range msg.PeersChangedPatch {
		m.patch(q, all)
	}
	return nil
}

func (m *netmap) patch(q mapPatch, all truths) {
	p, ok := m.peers[q.NodeID]
	if !ok {
		return // as the stock client has it
	}
	if q.Key != nil {
		p.who = all[*q.Key]
	}
	if q.DiscoKey != nil {
		p.disco = digest([]string{*q.DiscoKey})
	}
	if q.Endpoints != nil {
		p.endpoints = digest(q.Endpoints)
	}
	if q.DERPRegion != 0 {
		p.relay = q.DERPRegion
	}
	if q.Online != nil {
		p.online = *q.Online
	}
	m.set(q.NodeID, p)
}

// complete says that the node knows all of its team and nobody else.
func (m *netmap) complete(peers int) bool { return m.right == peers && len(m.peers) == peers }

// fault describes the first thing that is wrong, in the order of ids; "" if all is right.
func (m *netmap) fault(peers int) string {
	ids := make([]int64, 0, len(m.peers))
	for id := range m.peers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		switch p := m.peers[id]; {
		case p.who == nil:
			return fmt.Sprintf("peer %d has a key that no node has", id)
		case p.who == m.self:
			return "the node itself is among its peers"
		case p.who.team != m.self.team:
			return fmt.Sprintf("sees node %d of team %d", p.who.index, p.who.team)
		case p.disco != p.who.disco:
			return fmt.Sprintf("has a wrong disco key of node %d", p.who.index)
		case p.endpoints != p.who.endpoints:
			return fmt.Sprintf("has wrong endpoints of node %d", p.who.index)
		case p.relay != p.who.relay:
			return fmt.Sprintf("has relay %d of node %d, which is at %d", p.relay, p.who.index, p.who.relay)
		case p.addresses != p.who.addresses:
			return fmt.Sprintf("has other addresses of node %d than that was told itself", p.who.index)
		case !p.online:
			return fmt.Sprintf("has node %d as offline", p.who.index)
		}
	}
	if len(m.peers) != peers {
		return fmt.Sprintf("has %d peers, want %d", len(m.peers), peers)
	}
	if !m.filter {
		return "was told no packet filter that lets anybody in"
	}
	return ""
}
