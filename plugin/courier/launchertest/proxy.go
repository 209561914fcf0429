package launchertest

import (
	"net"
	"sync"
	"testing"
)

// Proxy passes TCP connections on to a launcher, and breaks them when it is told to.
type Proxy struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	target string
	conns  map[net.Conn]struct{}
	// budget is how many bytes may come from the launcher before all is cut; below zero
	// any number may.
	budget int
	cuts   int
}

// NewProxy returns a proxy that serves until the end of the test. It refuses every
// connection until Target is called.
func NewProxy(t testing.TB) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: listener, conns: map[net.Conn]struct{}{}, budget: -1}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.Target("")
		p.wg.Wait()
	})
	return p
}

// Address is where the proxy serves.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Target cuts all connections and passes new ones on to an address; to nobody if it is empty.
func (p *Proxy) Target(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = address
	p.cut()
}

// CutAfter cuts all connections once n more bytes have come from the launcher, wherever in
// a message that is.
func (p *Proxy) CutAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget = n
}

// Cuts returns how often CutAfter has cut.
func (p *Proxy) Cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

func (p *Proxy) cut() {
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		launcher, err := p.dial(client)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.wg.Go(func() { p.pass(launcher, client, func(n int) int { return n }) })
		p.wg.Go(func() { p.pass(client, launcher, p.spend) })
	}
}

// dial connects to the target on behalf of a client.
func (p *Proxy) dial(client net.Conn) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	launcher, err := net.Dial("tcp", p.target) //nolint:noctx // on this machine; an empty address is refused
	if err == nil {
		p.conns[client], p.conns[launcher] = struct{}{}, struct{}{}
	}
	return launcher, err
}

// pass copies until either side ends, and ends both; allowed says how many bytes may pass.
func (p *Proxy) pass(to, from net.Conn, allowed func(int) int) {
	defer to.Close()   //nolint:errcheck // the end of it
	defer from.Close() //nolint:errcheck // the end of it
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		may := allowed(n)
		if _, werr := to.Write(buffer[:may]); werr != nil || err != nil || may < n {
			return
		}
	}
}

// spend takes n bytes off the budget. When it is used up everything is cut.
func (p *Proxy) spend(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.budget < 0 {
		return n
	}
	if n <= p.budget {
		p.budget -= n
		return n
	}
	n, p.budget = p.budget, -1
	p.cuts++
	p.cut()
	return n
}
